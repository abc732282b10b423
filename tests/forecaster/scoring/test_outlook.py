import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.forecast import Forecast
from forecaster.pipeline import ForecastSettings, Outcome
from forecaster.scoring.outlook import Outlook, look_ahead, look_ahead_at
from forecaster.scoring.warm_pool import Pool, replay
from telemetry.series import Series, Window

SETTINGS = ForecastSettings(60.0, 1440, 10, quantiles=(0.5, 0.9), history_seasons=1)
RATES = np.arange(40.0)
DEMAND = Demand("m", Series({}, Window(60.0, 2400.0, 60.0), RATES))


def rising(seen: Demand, settings: ForecastSettings) -> Outcome:
    """Forecast one more each step, as this demand does, and a tenth above for the upper level."""
    path = seen.rate.values[-1] + np.arange(1, settings.horizon_steps + 1)
    values = np.stack([path, 1.1 * path], axis=1)
    return Outcome(Forecast(seen.origin, seen.step, settings.quantiles, values, "rising", 0), ())


def test_the_outlook_of_a_decision_is_the_highest_in_its_window() -> None:
    played = replay(DEMAND, Pool(1.0, lead=120.0, every=180.0), first=5)

    found = look_ahead(played, SETTINGS, make=rising)

    np.testing.assert_allclose(found.values[:, 0], played.asked.max(axis=1))
    np.testing.assert_allclose(found.values[:, 1], 1.1 * played.asked.max(axis=1))


def test_one_forecast_serves_pools_of_all_leads() -> None:
    calls = []

    def counted(seen: Demand, settings: ForecastSettings) -> Outcome:
        calls.append(seen.size)
        return rising(seen, settings)

    near = replay(DEMAND, Pool(1.0, lead=60.0), first=5)
    far = replay(DEMAND, Pool(1.0, lead=300.0), first=5)

    outlooks = look_ahead_at((near, far), SETTINGS, make=counted)

    assert calls == sorted(set(calls))
    for outlook, played in zip(outlooks, (near, far), strict=True):
        np.testing.assert_allclose(outlook.values[:, 0], played.asked.max(axis=1))


def test_pools_of_other_demands_are_refused() -> None:
    other = Demand("other", DEMAND.rate)
    pool = Pool(1.0)

    with pytest.raises(ValueError, match="the same demand"):
        look_ahead_at((replay(DEMAND, pool, first=5), replay(other, pool, first=5)), SETTINGS)


def test_what_a_miss_costs_decides_the_quantile() -> None:
    played = replay(DEMAND, Pool(1.0, lead=60.0, every=600.0), first=5)
    outlook = Outlook((0.5, 0.9), np.tile([10.0, 20.0], (played.origins.size, 1)))

    assert set(outlook.replicas(played, 1)) == {10}
    assert set(outlook.replicas(played, 9)) == {20}
    assert set(outlook.replicas(played, 3)) == {17}  # 0.75 lies 5/8 of the way: 16.25


def test_without_a_forecast_the_pool_stays_as_it_is() -> None:
    played = replay(DEMAND, Pool(1.0, lead=60.0, every=300.0), first=5)

    def sometimes(seen: Demand, settings: ForecastSettings) -> Outcome | None:
        return rising(seen, settings) if seen.size == 11 else None

    replicas = look_ahead(played, SETTINGS, make=sometimes).replicas(played, 1)

    assert replicas[0] == 20
    assert set(replicas[1:]) == {played.asked[1].max()}
