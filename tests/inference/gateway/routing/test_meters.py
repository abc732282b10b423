from inference.gateway.routing.meters import RoutingMeters
from inference.gateway.routing.want import Want
from telemetry.catalog import (
    GATEWAY_BREAKER,
    GATEWAY_LOAD_AGE,
    GATEWAY_REGION_ROUTED,
    GATEWAY_RETRIES_DENIED,
    GATEWAY_ROUTED,
)
from telemetry.clock import ManualClock
from telemetry.publish import Metrics
from tests.inference.gateway.routing.replicas import new_roster, page, record

A, B = record("a"), record("b")


def series(metrics, metric):
    return {
        (one.labels["model"], one.labels["replica"]): one.value
        for one in metrics.samples(0.0)
        if one.name == metric.name
    }


def test_each_serving_replica_is_shown_and_one_that_is_gone_is_not():
    clock, metrics = ManualClock(100.0), Metrics()
    roster = new_roster(clock, [A, B], metrics=metrics)
    roster.load_told(A, page(), asked_at=100.0)
    roster.refused(B)
    clock.advance(0.25)
    roster.show()

    assert series(metrics, GATEWAY_LOAD_AGE) == {("tiny", "a"): 0.25}
    assert series(metrics, GATEWAY_BREAKER) == {("tiny", "a"): 0.0, ("tiny", "b"): 1.0}
    roster.update([B])
    roster.show()
    assert series(metrics, GATEWAY_LOAD_AGE) == {}
    assert series(metrics, GATEWAY_BREAKER) == {("tiny", "b"): 1.0}


def test_a_known_model_has_its_series_before_anything_happens():
    metrics = Metrics()
    new_roster(ManualClock(), models=["tiny"], metrics=metrics)
    names = {(one.name, one.labels.get("reason")) for one in metrics.samples(0.0)}

    assert (GATEWAY_ROUTED.name, "two_choices") in names
    assert (GATEWAY_RETRIES_DENIED.name, None) in names


def test_regions_beyond_a_bound_share_a_series():
    metrics = Metrics()
    clock = ManualClock()
    roster = new_roster(clock, metrics=metrics)
    for number in range(40):
        roster.update([record("a", region=f"r{number}")])
        roster.choose(Want("tiny"))
    regions = {
        one.labels["region"]: one.value
        for one in metrics.samples(0.0)
        if one.name == GATEWAY_REGION_ROUTED.name
    }

    assert len(regions) == 33
    assert regions["other"] == 8


def test_denied_retries_are_counted():
    metrics = Metrics()
    RoutingMeters(metrics).retry_denied("tiny")

    assert metrics.counter(GATEWAY_RETRIES_DENIED).labels("tiny")._value.get() == 1
