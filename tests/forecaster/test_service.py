from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from forecaster.pipeline import ForecastSettings
from forecaster.service import ForecastService
from telemetry import catalog
from telemetry.clock import ManualClock
from telemetry.publish import Metrics
from telemetry.series import Sample, Selector, Series, Window
from telemetry.sqlite_store import SqliteStore
from telemetry.store import StoreUnavailableError

STEP = 10.0
SEASON = 12
SETTINGS = ForecastSettings("m", STEP, season_steps=SEASON, horizon_steps=3)
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


def arrive(store: SqliteStore, rates: Sequence[float], *, model: str = "m") -> None:
    """Write a counter that grew at `rates` requests/s in the steps up to now."""
    counts = np.concatenate([[0.0], np.cumsum(np.multiply(rates, STEP))])
    first = START - STEP * len(rates)
    store.write(
        Sample(catalog.GATEWAY_ARRIVALS.name, {"model": model}, first + STEP * step, count)
        for step, count in enumerate(counts.tolist())
    )


def published(metrics: Metrics, name: str) -> dict[str, float]:
    return {
        sample.labels["quantile"]: sample.value
        for sample in metrics.samples(0.0)
        if sample.name == name
    }


def errors(metrics: Metrics) -> list[float]:
    return [s.value for s in metrics.samples(0.0) if s.name == catalog.FORECAST_ERRORS.name]


async def test_demand_in_the_store_becomes_a_forecast(
    store: SqliteStore, metrics: Metrics, clock: ManualClock
) -> None:
    arrive(store, [4.0 if step % SEASON < 6 else 1.0 for step in range(4 * SEASON)])
    arrive(store, [100.0] * SEASON, model="another")
    service = ForecastService(store, metrics, clock, SETTINGS)
    await service.refresh()
    forecast = service.latest()

    assert forecast is not None
    assert forecast.origin == START
    assert forecast.model == "seasonal naive"
    np.testing.assert_allclose(forecast.at_quantile(0.5), [4.0, 4.0, 4.0])


async def test_what_is_expected_of_this_step_is_published(
    store: SqliteStore, metrics: Metrics, clock: ManualClock
) -> None:
    rng = np.random.default_rng(1)
    arrive(store, rng.poisson(30, 4 * SEASON) / STEP)
    service = ForecastService(store, metrics, clock, SETTINGS)
    await service.refresh()
    forecast = service.latest()
    shown = published(metrics, catalog.FORECAST.name)

    assert forecast is not None
    assert shown == {
        "0.1": forecast.values[0, 0],
        "0.5": forecast.values[0, 1],
        "0.9": forecast.values[0, 2],
    }


async def test_without_history_there_is_no_forecast_and_the_log_says_so_once(
    store: SqliteStore, metrics: Metrics, clock: ManualClock
) -> None:
    service = ForecastService(store, metrics, clock, SETTINGS)
    with capture_logs() as logs:
        await service.refresh()
        await service.refresh()

    assert service.latest() is None
    assert published(metrics, catalog.FORECAST.name) == {}
    assert len(logs) == 1
    assert errors(metrics) == [0.0]


@pytest.mark.parametrize(
    ("matured", "shown"),
    [pytest.param(9, {}, id="too few"), pytest.param(10, {"0.9": 0.5}, id="enough")],
)
async def test_coverage_compares_remembered_forecasts_with_demand(
    store: SqliteStore,
    metrics: Metrics,
    clock: ManualClock,
    matured: int,
    shown: dict[str, float],
) -> None:
    arrive(store, [1.0, 3.0] * SEASON)
    labels = {"model": "m", "quantile": "0.9"}
    store.write(
        Sample(catalog.FORECAST.name, labels, START - STEP * step - 1, 2.0)
        for step in range(matured)
    )
    await ForecastService(store, metrics, clock, SETTINGS).refresh()
    covered = published(metrics, catalog.FORECAST_COVERAGE.name)

    assert covered == pytest.approx(shown)


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
    service = ForecastService(reader, metrics, clock, SETTINGS)
    await service.refresh()
    before = service.latest()
    reader.broken = True
    await service.refresh()

    assert before is not None
    assert service.latest() is before
    assert published(metrics, catalog.FORECAST.name) == {}
    assert errors(metrics) == [1.0]
