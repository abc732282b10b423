"""Tenants that ask for much are found, and given their share of what arrived."""

import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.live.tenants import LargeTenants
from telemetry import catalog
from telemetry.clock import ManualClock
from telemetry.series import Sample, Series, Window
from telemetry.sqlite_store import SqliteStore

STEP, SEASON = 10.0, 12
START = 1_000_000.0


@pytest.fixture
def store(tmp_path):
    return SqliteStore(tmp_path / "s.db", retention_seconds=1e6, clock=ManualClock(START))


@pytest.fixture
def tenants(store):
    return LargeTenants(store, step=STEP, points=4 * SEASON, season=SEASON)


def counted(store, metric, rates, **labels):
    counts = np.concatenate([[0.0], np.cumsum(np.multiply(rates, STEP))])
    first = START - STEP * len(rates)
    store.write(
        Sample(metric.name, labels, first + STEP * step, count)
        for step, count in enumerate(counts.tolist())
    )


def finished(store, **rates):
    for tenant, rate in rates.items():
        counted(store, catalog.TENANT_REQUESTS, rate, tenant=tenant, outcome="answered")


def arrived(rates, tokens=None):
    window = Window.ending(START, step=STEP, points=len(rates))
    return Demand(
        "m",
        Series({}, window, np.array(rates)),
        None if tokens is None else Series({}, window, np.array(tokens)),
    )


@pytest.mark.parametrize(
    ("rates", "names"),
    [
        pytest.param({"a": 5.0, "b": 4.0, "c": 1.0}, ["a", "b"], id="two above a third"),
        pytest.param({"a": 3.0, "b": 3.0, "c": 3.0}, [], id="a third is not above it"),
        pytest.param({"a": 9.0}, [], id="who is alone is the total"),
        pytest.param({"a": 9.0, "b": 0.1}, [], id="and who is all but alone"),
        pytest.param({}, [], id="nobody is counted"),
    ],
)
def test_who_asks_for_much_is_found(store, tenants, rates, names):
    finished(store, **{name: [rate] * SEASON for name, rate in rates.items()})

    assert [part.name for part in tenants(arrived([9.0] * SEASON))] == names


def test_arrivals_and_tokens_are_shared_out_as_what_was_finished(store, tenants):
    finished(store, a=[6.0, 6.0, 0.0, 5.0] * 3, b=[2.0, 0.0, 2.0, 0.0] * 3)
    for tenant, rate in (("a", 30.0), ("b", 10.0)):
        counted(store, catalog.TENANT_TOKENS, [rate] * SEASON, tenant=tenant, kind="input")

    (part,) = tenants(arrived([10.0, 4.0, 3.0, 0.0] * 3, tokens=[100.0] * SEASON))

    np.testing.assert_allclose(part.rate.values, [7.5, 4.0, 0.0, 0.0] * 3)
    np.testing.assert_allclose(part.input_tokens.values, 75.0)
    assert part.output_tokens is None


def test_a_gap_of_the_total_is_one_of_the_tenant(store, tenants):
    finished(store, a=[6.0] * SEASON, b=[2.0] * SEASON)

    (part,) = tenants(arrived([np.nan] * 4 + [8.0] * (SEASON - 4)))

    assert np.isnan(part.rate.values[:4]).all()
    np.testing.assert_allclose(part.rate.values[4:], 6.0)


def test_where_nothing_was_finished_the_share_is_not_known(store, tenants):
    finished(store, a=[6.0] * 11 + [0.0], b=[2.0] * 11 + [0.0])

    (part,) = tenants(arrived([8.0] * SEASON))

    assert np.isnan(part.rate.values[-1])
    np.testing.assert_allclose(part.rate.values[:-1], 6.0)


def test_before_tenants_were_counted_there_is_a_gap(store, tenants):
    finished(store, a=[6.0] * 6, b=[2.0] * 6)

    (part,) = tenants(arrived([8.0] * SEASON))

    assert np.isfinite(part.rate.values).tolist() == [False] * 6 + [True] * 6
