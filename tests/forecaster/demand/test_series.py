"""Demand out of the store: what arrived, and the tokens that it is expected to cost."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from forecaster.demand.series import known_values, read_demand
from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.clock import ManualClock
from telemetry.series import Sample, Window
from telemetry.sqlite_store import SqliteStore

T0 = 1_700_000_000.0
WINDOW = Window(T0 + 10, T0 + 50, 10.0)


def readings(metric: Metric, values: list[float | None], **labels: str) -> list[Sample]:
    return [
        Sample(metric.name, {"model": "m", **labels}, T0 + 10 * at, value)
        for at, value in enumerate(values)
        if value is not None
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    clock = ManualClock(T0 + 50)
    opened = SqliteStore(tmp_path / "m.db", retention_seconds=86400, clock=clock)
    yield opened
    opened.close()


def test_arrivals_are_a_rate_with_resets_and_gaps(store: SqliteStore):
    store.write(readings(catalog.GATEWAY_ARRIVALS, [100, 120, 10, None, 30, 60]))
    demand = read_demand(store, "m", WINDOW)

    np.testing.assert_allclose(demand.rate.values, [2, 1, np.nan, np.nan, 3])
    assert demand.name == "m"
    assert demand.input_tokens is None


def test_several_gateways_are_added_up(store: SqliteStore):
    for instance in ("a", "b"):
        grown = [0, 10, 20, 30, 40, 50]
        store.write(readings(catalog.GATEWAY_ARRIVALS, grown, instance=instance))

    assert read_demand(store, "m", WINDOW).rate.values.tolist() == [2] * 5


def test_requests_turned_away_count_with_the_mean_size_of_those_answered(store: SqliteStore):
    store.write(readings(catalog.GATEWAY_ARRIVALS, [0, 20, 40, 40, 50, 60]))
    store.write(readings(catalog.GATEWAY_REQUESTS, [0, 20, 30, 30, 30, 40], code="200"))
    store.write(readings(catalog.GATEWAY_REQUESTS, [0, 0, 10, 10, 20, 20], code="429"))
    store.write(readings(catalog.GATEWAY_OUTPUT_TOKENS, [0, 200, 300, 300, 300, 500]))
    tokens = read_demand(store, "m", WINDOW).output_tokens

    assert tokens is not None
    np.testing.assert_allclose(tokens.values, [20, 20, 0, np.nan, 20])


def test_labels_choose_a_part_where_arrivals_have_them(store: SqliteStore):
    store.write(readings(catalog.GATEWAY_ARRIVALS, [0, 10, 20, 30, 40, 50], region="eu"))
    store.write(readings(catalog.GATEWAY_ARRIVALS, [0, 50, 50, 50, 50, 50], region="us"))

    assert read_demand(store, "m", WINDOW, labels={"region": "eu"}).rate.values.tolist() == [1] * 5
    assert known_values(store, "m", "region", at=T0 + 50, within=60) == ("eu", "us")
    assert known_values(store, "m", "priority", at=T0 + 50, within=60) == ()


def test_a_model_nobody_counted_is_all_gaps_not_zero(store: SqliteStore):
    assert np.isnan(read_demand(store, "other", WINDOW).rate.values).all()
