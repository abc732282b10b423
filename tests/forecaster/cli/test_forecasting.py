from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecaster.cli.asked import Asked, Source
from forecaster.cli.forecasting import members_of, past_maker
from forecaster.cli.loading import prepared
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


def test_a_past_forecast_sees_of_a_sibling_what_was_known_then() -> None:
    asked = Asked(Source("x"), members=("last value",))
    rng = np.random.default_rng(0)
    short, like = demand(rng.poisson(50, 30).astype(float)), rng.poisson(400, 90).astype(float)
    other = like.copy()
    other[30:] = 7.0

    def told(*siblings: Demand) -> np.ndarray:
        outcome = past_maker(asked, members_of(asked), siblings)(short, SETTINGS)
        assert outcome is not None
        return outcome.forecast.values

    np.testing.assert_array_equal(told(demand(like)), told(demand(other)))
    assert (told(demand(like)) != told()).any()
    later = demand(like).part(40, 90)
    np.testing.assert_array_equal(told(later), told())


def test_demand_is_mended_by_the_season_that_is_asked_for() -> None:
    nightly = np.repeat([100.0, 0.0], [17, 3])  # by the day of 48 steps, lost traffic
    seen = demand(np.tile(nightly, 40) * np.random.default_rng(0).uniform(0.9, 1.1, 800))

    assert prepared(Asked(Source("x")), seen, season=20) is seen
    assert prepared(Asked(Source("x")), seen, season=48).ignored is not None
    assert prepared(Asked(Source("x", mend=False)), seen, season=48) is seen
