"""Demand in the store becomes a forecast that is kept, judged, doubted where due, and shown."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from forecaster.forecast import Doubt, Forecast
from forecaster.live.service import ForecastService
from forecaster.pipeline import ForecastSettings, Outcome
from telemetry import catalog
from telemetry.clock import ManualClock
from telemetry.publish import Metrics
from telemetry.series import Sample, Selector, Series, Window
from telemetry.sqlite_store import SqliteStore
from telemetry.store import StoreUnavailableError

STEP = 10.0
SEASON = 12
SETTINGS = ForecastSettings(STEP, season_steps=SEASON, horizon_steps=3)
START = 1_000_000.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> SqliteStore:
    return SqliteStore(tmp_path / "store.db", retention_seconds=1e6, clock=clock)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def service(store: SqliteStore, metrics: Metrics, clock: ManualClock) -> ForecastService:
    return ForecastService(store, metrics, clock, SETTINGS, model="m")


def arrive(
    store: SqliteStore, rates: Sequence[float], *, model: str = "m", until: float = START
) -> None:
    """Write a counter that grew at `rates` requests/s in the steps up to `until`."""
    counts = np.concatenate([[0.0], np.cumsum(np.multiply(rates, STEP))])
    first = until - STEP * len(rates)
    store.write(
        Sample(catalog.GATEWAY_ARRIVALS.name, {"model": model}, first + STEP * step, count)
        for step, count in enumerate(counts.tolist())
    )


def shown(metrics: Metrics, name: str, label: str = "quantile") -> dict[str, float]:
    return {
        sample.labels[label]: sample.value
        for sample in metrics.samples(0.0)
        if sample.name == name
    }


def errors(metrics: Metrics) -> list[float]:
    return [s.value for s in metrics.samples(0.0) if s.name == catalog.FORECAST_ERRORS.name]


async def test_demand_in_the_store_becomes_a_forecast(
    store: SqliteStore, service: ForecastService
) -> None:
    rng = np.random.default_rng(2)
    arrive(store, rng.poisson(40, 4 * SEASON) / STEP)
    arrive(store, [100.0] * SEASON, model="another")
    await service.refresh()
    forecast, outcome, demand = service.latest(), service.outcome(), service.demand()

    assert forecast is not None
    assert outcome is not None
    assert demand is not None
    assert forecast.origin == demand.origin == START
    assert forecast.steps == 3
    assert all(3.0 < rate < 5.0 for rate in forecast.at_quantile(0.5))
    assert {member.name for member in outcome.members} == set(forecast.weights)


async def test_what_is_expected_of_this_step_is_published(
    store: SqliteStore, metrics: Metrics, service: ForecastService
) -> None:
    rng = np.random.default_rng(1)
    arrive(store, rng.poisson(30, 4 * SEASON) / STEP)
    await service.refresh()
    forecast = service.latest()

    assert forecast is not None
    assert shown(metrics, catalog.FORECAST.name) == {
        str(level): forecast.at_quantile(level)[0] for level in (0.1, 0.5, 0.9)
    }
    assert shown(metrics, catalog.FORECAST_ORIGIN.name, "model") == {"m": START}
    assert sum(shown(metrics, catalog.FORECAST_WEIGHT.name, "member").values()) == pytest.approx(1)
    assert shown(metrics, f"{catalog.FORECAST_DURATION.name}_count", "model") == {"m": 1.0}


async def test_without_history_there_is_no_forecast_and_the_log_says_so_once(
    metrics: Metrics, service: ForecastService
) -> None:
    with capture_logs() as logs:
        await service.refresh()
        await service.refresh()

    assert service.latest() is None
    assert shown(metrics, catalog.FORECAST.name) == {}
    assert len(logs) == 1
    assert errors(metrics) == [0.0]


def fixed(highest: float) -> Outcome:
    """Return a forecast from START that expects the same of each step."""
    values = np.full((3, 3), highest) * [0.5, 0.9, 1.0]
    return Outcome(Forecast(START, STEP, (0.5, 0.9, 0.99), values, "fixed", 100), ())


async def play(
    store: SqliteStore, service: ForecastService, clock: ManualClock, rates: Sequence[float]
) -> None:
    """Let demand come step by step, and forecast after each."""
    count = 0.0
    for rate in rates:
        count += rate * STEP
        clock.advance(STEP)
        at = clock.now()
        store.write([Sample(catalog.GATEWAY_ARRIVALS.name, {"model": "m"}, at, count)])
        await service.refresh()


@pytest.mark.parametrize(
    ("rate", "covered"),
    [
        pytest.param(4.0, {"0.5": 1.0, "0.9": 1.0, "0.99": 1.0}, id="below"),
        pytest.param(7.0, {"0.5": 0.0, "0.9": 1.0, "0.99": 1.0}, id="between"),
        pytest.param(11.0, {"0.5": 0.0, "0.9": 0.0, "0.99": 0.0}, id="above"),
    ],
)
async def test_forecasts_are_judged_by_the_demand_that_came(
    store: SqliteStore,
    metrics: Metrics,
    clock: ManualClock,
    rate: float,
    covered: dict[str, float],
) -> None:
    settings = replace(SETTINGS, quantiles=(0.5, 0.9, 0.99))

    def make(demand, _):
        outcome = fixed(10.0)
        return replace(outcome, forecast=replace(outcome.forecast, origin=demand.origin))

    service = ForecastService(store, metrics, clock, settings, model="m", make=make)
    await play(store, service, clock, [rate] * 14)

    assert shown(metrics, catalog.FORECAST_COVERAGE.name) == covered


async def test_a_forecast_that_is_left_too_often_is_doubted_also_after_a_restart(
    store: SqliteStore, metrics: Metrics, clock: ManualClock, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, season_steps=240, quantiles=(0.5, 0.9, 0.99))

    def make(demand, _):
        outcome = fixed(10.0)
        return replace(outcome, forecast=replace(outcome.forecast, origin=demand.origin))

    def begun() -> ForecastService:
        return ForecastService(
            store, metrics, clock, settings, model="m", make=make, memory=tmp_path / "f.json"
        )

    service = begun()
    with capture_logs() as logs:
        await play(store, service, clock, [20.0] * 60)
    again = begun()
    await again.refresh()

    for one in (service.latest(), again.latest()):
        assert one is not None
        assert one.doubts == (Doubt.UNCALIBRATED,)
    assert [log["quantile"] for log in logs] == [0.9]
    assert shown(metrics, catalog.FORECAST_DOUBT.name, "doubt")["uncalibrated"] == 1.0


async def test_an_outage_in_the_store_is_not_learnt_from_and_its_share_is_shown(
    store: SqliteStore, metrics: Metrics, clock: ManualClock
) -> None:
    settings = replace(SETTINGS, season_steps=240)
    rates = np.random.default_rng(4).poisson(60, 4 * 240) / STEP
    rates[600:620] = 0.0
    arrive(store, rates.tolist())
    service = ForecastService(store, metrics, clock, settings, model="m")
    with capture_logs() as logs:
        await service.refresh()
        clock.advance(STEP)
        await service.refresh()
    demand = service.demand()

    assert demand is not None
    assert demand.ignored is not None
    assert demand.ignored.sum() == 20
    assert (demand.rate.values[demand.ignored] == 0.0).all()
    assert ["reads 0" in log["found"] for log in logs] == [True]
    assert shown(metrics, catalog.FORECAST_IGNORED.name, "model") == {
        "m": pytest.approx(20 / (4 * 240), rel=0.01)
    }


class Unavailable:
    """A store that cannot be asked once `broken` is set."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.broken = False

    def latest(self, selector: Selector, *, at: float, within: float) -> Sequence[Sample]:
        return self._unless_broken().latest(selector, at=at, within=within)

    def gauge(self, selector: Selector, window: Window) -> Sequence[Series]:
        return self._unless_broken().gauge(selector, window)

    def increase(self, selector: Selector, window: Window) -> Sequence[Series]:
        return self._unless_broken().increase(selector, window)

    def _unless_broken(self) -> SqliteStore:
        if self.broken:
            raise StoreUnavailableError("the store is away")
        return self._store


async def test_while_the_store_is_away_the_last_forecast_is_kept_but_not_shown(
    store: SqliteStore, metrics: Metrics, clock: ManualClock
) -> None:
    arrive(store, [2.0] * SEASON)
    reader = Unavailable(store)
    service = ForecastService(reader, metrics, clock, SETTINGS, model="m")
    await service.refresh()
    before = service.latest()
    reader.broken = True
    await service.refresh()

    assert before is not None
    assert service.latest() is before
    assert shown(metrics, catalog.FORECAST.name) == {}
    assert shown(metrics, catalog.FORECAST_IGNORED.name, "model") == {}
    assert errors(metrics) == [1.0]
