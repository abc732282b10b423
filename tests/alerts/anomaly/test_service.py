from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from alerts.anomaly.anomaly import Anomaly
from alerts.anomaly.scorers import ScorerSettings
from alerts.anomaly.service import AnomalyService, AnomalySettings
from telemetry import catalog
from telemetry.clock import ManualClock
from telemetry.publish import Metrics
from telemetry.series import Sample
from telemetry.sqlite_store import SqliteStore

STEP = 10.0
START = 1_000_000.0
SETTINGS = AnomalySettings("m", STEP, ScorerSettings(window=20, least=10))
POINTS = SETTINGS.points


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
def service(store: SqliteStore, metrics: Metrics, clock: ManualClock) -> AnomalyService:
    return AnomalyService(store, metrics, clock, SETTINGS)


def write_demand(
    store: SqliteStore, rates: Sequence[float], *, expected: float, ends: float = START
) -> None:
    """Write what arrived in the steps up to `ends`, and what was forecast for each of them."""
    counts = np.concatenate([[0.0], np.cumsum(np.multiply(rates, STEP))]).tolist()
    labels = {"model": "m", "quantile": "0.5"}
    for step, count in enumerate(counts):
        at = ends - STEP * (len(rates) - step)
        store.write(
            [
                Sample(catalog.GATEWAY_ARRIVALS.name, {"model": "m"}, at, count),
                Sample(catalog.FORECAST.name, labels, at - 1, expected),
            ]
        )


def write_ttft(store: SqliteStore, seconds: Sequence[float]) -> None:
    """Write a histogram in which ten requests a step took about as long as said."""
    bounds = (*catalog.TIME_TO_FIRST_TOKEN.buckets, float("inf"))
    name = f"{catalog.TIME_TO_FIRST_TOKEN.name}_bucket"
    totals = np.zeros(len(bounds))
    for step, value in enumerate([0.0, *seconds]):
        if step:
            totals += 10.0 * (np.array(bounds) >= value)
        store.write(
            Sample(
                name,
                {"gen_ai_request_model": "m", "le": str(bound)},
                START - STEP * (len(seconds) - step),
                total,
            )
            for bound, total in zip(bounds, totals.tolist(), strict=True)
        )


def quiet(points: int = POINTS) -> list[float]:
    return (np.random.default_rng(1).poisson(40 * STEP, points) / STEP).tolist()


def shown(metrics: Metrics, name: str) -> dict[str, float]:
    return {s.labels["signal"]: s.value for s in metrics.samples(0.0) if s.name == name}


def errors(metrics: Metrics) -> list[float]:
    return [s.value for s in metrics.samples(0.0) if s.name == catalog.ANOMALY_ERRORS.name]


async def test_quiet_demand_is_scored_and_normal(
    service: AnomalyService, store: SqliteStore, metrics: Metrics
) -> None:
    write_demand(store, quiet(), expected=40.0)
    await service.refresh()
    (demand,) = service.latest()

    assert demand.signal == "demand"
    assert demand.at == START
    assert not demand.active
    assert demand.low < demand.value < demand.high
    assert shown(metrics, catalog.ANOMALY_SCORE.name) == {"demand": demand.score}
    assert shown(metrics, catalog.ANOMALY_LOW.name) == {"demand": demand.low}
    assert shown(metrics, catalog.ANOMALY_HIGH.name) == {"demand": demand.high}
    assert shown(metrics, catalog.ANOMALY_ACTIVE.name) == {"demand": 0.0}


async def test_an_anomaly_says_since_when_it_lasts(
    service: AnomalyService, store: SqliteStore
) -> None:
    write_demand(store, [*quiet(), *[120.0] * 4], expected=40.0)
    await service.refresh()
    (demand,) = service.latest()

    assert demand.active
    assert demand.since == START - STEP  # the third of the four was the one that told


@pytest.mark.parametrize(
    ("steps", "active"), [pytest.param(2, 0.0, id="two"), pytest.param(3, 1.0, id="three")]
)
async def test_a_halved_demand_is_abnormal_within_three_steps(
    service: AnomalyService, store: SqliteStore, metrics: Metrics, steps: int, active: float
) -> None:
    write_demand(store, [*quiet()[:-steps], *([20.0] * steps)], expected=40.0)
    await service.refresh()

    assert shown(metrics, catalog.ANOMALY_ACTIVE.name) == {"demand": active}
    assert service.latest()[0].score < -4


async def test_a_new_anomaly_is_logged_once(service: AnomalyService, store: SqliteStore) -> None:
    write_demand(store, [*quiet()[:-3], 120.0, 120.0, 120.0], expected=40.0)
    with capture_logs() as logs:
        await service.refresh()
        await service.refresh()

    assert [(line["event"], line["signal"]) for line in logs] == [("abnormal", "demand")]


async def test_missing_demand_is_not_scored_and_not_shown(
    service: AnomalyService, store: SqliteStore, metrics: Metrics, clock: ManualClock
) -> None:
    write_demand(store, [*quiet()[:-3], 120.0, 120.0, 120.0], expected=40.0)
    await service.refresh()
    clock.advance(3 * STEP)
    await service.refresh()

    assert service.latest() == ()
    assert shown(metrics, catalog.ANOMALY_ACTIVE.name) == {}


async def test_a_slow_first_token_is_abnormal(service: AnomalyService, store: SqliteStore) -> None:
    write_ttft(store, [0.05] * (POINTS - 3) + [4.0] * 3)
    await service.refresh()
    (ttft,) = service.latest()

    assert ttft.signal == "ttft_p95"
    assert ttft.active
    assert ttft.value > ttft.high > ttft.expected


async def test_a_first_token_as_always_is_normal(
    service: AnomalyService, store: SqliteStore
) -> None:
    write_ttft(store, [0.05, 0.045, 0.055] * (POINTS // 3))
    await service.refresh()

    assert [(found.signal, found.active) for found in service.latest()] == [("ttft_p95", False)]


async def test_an_empty_store_is_silence_not_an_error(
    service: AnomalyService, metrics: Metrics
) -> None:
    await service.refresh()

    assert service.latest() == ()
    assert errors(metrics) == [0.0]


async def test_while_the_store_is_away_nothing_is_known(
    service: AnomalyService, store: SqliteStore, metrics: Metrics
) -> None:
    write_demand(store, quiet(), expected=40.0)
    await service.refresh()
    store.close()
    await service.refresh()

    assert service.latest() == ()
    assert shown(metrics, catalog.ANOMALY_ACTIVE.name) == {}
    assert errors(metrics) == [1.0]


def test_an_anomaly_cannot_be_changed() -> None:
    found = Anomaly("demand", 0.0, 1.0, 1.0, 0.5, 1.5, 0.0, active=False)

    with pytest.raises(AttributeError):
        found.active = True  # type: ignore[misc]
