from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecaster.cli.asked import Asked, Source
from forecaster.cli.forecasting import members_of, past_maker
from forecaster.demand.demand import Demand
from forecaster.pipeline import ForecastSettings
from forecaster.scoring.backtest import backtest
from telemetry.series import Series, Window

STEP, DAY = 1800.0, 48
START = 1_761_436_800.0  # 2025-10-26 00:00 UTC, the day that clocks change in Berlin
SETTINGS = ForecastSettings(STEP, DAY, 4, paths=0)
ORIGINS = np.array([301, 303, 420])  # in an outage, at its end, and at a spike
CALENDAR = """
[[holiday]]
date = 2025-10-31
[[event]]
name = "sale"
start = 2025-10-28T08:00:00
end = 2025-10-28T12:00:00
[[event]]
name = "sale"
start = 2025-11-04T08:00:00
end = 2025-11-04T12:00:00
"""


def demand(rates: np.ndarray) -> Demand:
    return Demand("m", Series({}, Window(START + STEP, START + STEP * rates.size, STEP), rates))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_past_forecast_sees_nothing_of_what_came(tmp_path: Path, zone: str) -> None:
    calendar = tmp_path / "days.toml"
    calendar.write_text(CALENDAR)
    asked = Asked(
        Source("x"),
        calendar=calendar,
        zone=ZoneInfo(zone),
        members=("last value", "daily profile"),
    )
    make = past_maker(asked, members_of(asked))
    rng = np.random.default_rng(0)
    rates = rng.poisson(400 * (1.2 + np.sin(2 * np.pi * np.arange(10 * DAY) / DAY))).astype(float)
    rates[300:304], rates[420] = 0.0, 20_000.0
    told = backtest(demand(rates), SETTINGS, ORIGINS, make=make)

    for place, origin in enumerate(ORIGINS.tolist()):
        other = rates.copy()
        other[origin + 1 :] = 100.0 * rng.poisson(5, other.size - origin - 1)
        again = backtest(demand(other), SETTINGS, ORIGINS[place : place + 1], make=make)
        np.testing.assert_array_equal(told.forecast[place], again.forecast[0])
