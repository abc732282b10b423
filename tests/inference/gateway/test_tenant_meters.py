import pytest

from inference.gateway.tenant_meters import TenantMeters
from inference.gateway.timeline import Outcome, Usage
from telemetry.labels import CappedLabels
from telemetry.publish import Metrics


@pytest.fixture
def metrics():
    return Metrics()


def series(metrics):
    return {tuple(one.labels.values()): one.value for one in metrics.samples(0.0)}


def test_requests_and_tokens_are_counted_by_tenant(metrics):
    meters = TenantMeters(metrics, label=CappedLabels())
    meters.finished("acme", Outcome.ANSWERED, Usage(5, 3))
    meters.finished("acme", Outcome.OVERLOADED, None)

    assert series(metrics) == {
        ("acme", "answered"): 1, ("acme", "overloaded"): 1, ("acme", "input"): 5,
        ("acme", "output"): 3,
    }  # fmt: skip


def test_the_series_of_a_known_tenant_begin_at_zero(metrics):
    TenantMeters(metrics, label=CappedLabels()).introduce("acme")

    assert series(metrics) == {
        ("acme", "answered"): 0, ("acme", "input"): 0, ("acme", "output"): 0,
    }  # fmt: skip


def test_tenants_beyond_the_cap_are_counted_together(metrics):
    meters = TenantMeters(metrics, label=CappedLabels(1))
    for tenant in ("acme", "umbrella", "initech"):
        meters.finished(tenant, Outcome.ANSWERED, Usage(1, 1))

    assert series(metrics)["acme", "answered"] == 1
    assert series(metrics)["other", "answered"] == 2
    assert series(metrics)["other", "input"] == 2
