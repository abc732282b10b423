import pytest

from inference.gateway.routing.fleet import Fleet
from telemetry.lifecycle import ReplicaState
from tests.inference.gateway.routing.replicas import SERVING, record

STARTING, STANDBY = ReplicaState.STARTING, ReplicaState.STANDBY


def fleet_of(*records):
    fleet = Fleet(lambda region: float(len(region)), patience_seconds=2.0)
    fleet.update(list(records), now=0.0)
    return fleet


def ids(fleet, model="tiny"):
    return [one.record.id for one in fleet.serving(model)]


@pytest.mark.parametrize("state", [state for state in ReplicaState if state is not SERVING])
def test_only_serving_replicas_are_candidates(state):
    assert ids(fleet_of(record("a", state=state), record("b"))) == ["b"]


def test_the_order_of_the_table_does_not_matter():
    assert ids(fleet_of(record("b"), record("c"), record("a"))) == ["a", "b", "c"]


def test_a_replica_serves_under_every_name_that_it_tells():
    fleet = fleet_of(record("a", models=("tiny", "alias")))

    assert (ids(fleet), ids(fleet, "alias"), ids(fleet, "other")) == (["a"], ["a"], [])
    assert [one.record.id for one in fleet.each()] == ["a"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param([], True, id="no replica"),
        pytest.param([STANDBY], True, id="none serves"),
        pytest.param([SERVING], False, id="one serves"),
        pytest.param([SERVING, STARTING], True, id="one serves, more is coming"),
        pytest.param([SERVING, STANDBY], False, id="one waits unneeded"),
    ],
)
def test_a_model_is_short_while_capacity_is_missing_or_starting(states, expected):
    records = [record(str(number), state=state) for number, state in enumerate(states)]
    others = [record("x", model="other"), record("y", model="other", state=STARTING)]

    assert fleet_of(*records, *others).is_short("tiny") is expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (STARTING, True), (STANDBY, True), (ReplicaState.ASLEEP, True), (SERVING, False),
        (ReplicaState.DRAINING, False), (ReplicaState.FAILED, False),
    ],
)  # fmt: skip
def test_a_model_is_waking_while_more_may_come(state, expected):
    assert fleet_of(record(state=state)).is_waking("tiny") is expected


def test_a_process_that_changes_state_keeps_what_is_in_flight_and_loses_what_it_said():
    fleet = fleet_of(record("a"))
    (one,) = fleet.serving("tiny")
    one.in_flight, one.waiting_tokens, holder = 3, 700, one.holder
    fleet.update([record("a", state=STANDBY, since=1.0)], now=1.0)
    fleet.update([record("a", since=2.0, region="far")], now=2.0)

    (again,) = fleet.serving("tiny")
    assert (again.in_flight, again.waiting_tokens, again.distance) == (3, 0, 3.0)
    assert again.holder != holder


def test_a_process_that_was_restarted_starts_with_nothing():
    fleet = fleet_of(record("a", pid=1))
    (one,) = fleet.serving("tiny")
    one.in_flight = 3
    fleet.update([record("a", pid=2)], now=1.0)

    (again,) = fleet.serving("tiny")
    assert again.in_flight == 0
    assert fleet.find("tiny", record("a", pid=1)) is None


def test_a_replica_that_leaves_is_forgotten_once_nothing_is_in_flight():
    fleet = fleet_of(record("a"), record("b"))
    fleet.serving("tiny")[0].in_flight = 1
    fleet.update([], now=1.0)

    assert fleet.find("tiny", record("a")) is not None
    assert fleet.find("tiny", record("b")) is None


def test_a_reading_like_the_one_before_changes_nothing():
    fleet = fleet_of(record("a"))
    (one,) = fleet.serving("tiny")

    assert not fleet.update([record("a")], now=1.0)
    assert fleet.serving("tiny")[0] is one
