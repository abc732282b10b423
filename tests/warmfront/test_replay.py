"""A replay tells the forecaster the days before, and leaves their gaps gaps."""

from pathlib import Path

import numpy as np
import pytest

from forecaster.demand.series import read_demand
from telemetry.clock import ManualClock
from telemetry.series import Window
from telemetry.sqlite_store import SqliteStore
from warmfront.errors import ConfigError
from warmfront.replay import Request, history


def test_history_is_read_back_as_the_demand_it_was(tmp_path: Path):
    begin, step = 1_000_000.0, 1.5
    rates = np.array([4.0, 2.0, np.nan, 8.0, 0.0])
    store = SqliteStore(tmp_path / "s.sqlite", retention_seconds=1e6, clock=ManualClock(begin))
    store.write(history(rates, begin=begin, step=step, model="tiny"))

    window = Window(begin - 4 * step, begin, step)
    demand = read_demand(store, "tiny", window)
    store.close()

    assert demand.rate.values == pytest.approx(rates, nan_ok=True)


@pytest.mark.parametrize(
    "wrong", [{"seconds": 1.0}, {"peak": 0.0}, {"peak": float("nan")}, {"pace": -1.0}], ids=str
)
def test_a_day_that_cannot_be_played_is_refused(wrong: dict[str, float]):
    settings = {"seconds": 60.0, "peak": 10.0, "seed": 1, "pace": 0.02} | wrong
    with pytest.raises(ConfigError, match="expected --seconds"):
        Request(trace=None, policies=("predictive",), **settings)
