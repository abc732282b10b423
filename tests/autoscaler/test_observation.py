import math

import pytest

from autoscaler.observation import Fleet, Observation, Replica
from telemetry.lifecycle import ReplicaState


def replica(name, state, *, in_flight=0, waiting=0):
    return Replica(name, state, since=0.0, pid=1, url=None, in_flight=in_flight, waiting=waiting)


def test_a_fleet_counts_every_state_even_those_no_replica_is_in():
    counts = Fleet((replica("a", ReplicaState.SERVING),)).counts

    assert set(counts) == set(ReplicaState)
    assert counts[ReplicaState.SERVING] == 1
    assert sum(counts.values()) == 1


def test_up_is_what_serves_stands_by_or_is_about_to():
    fleet = Fleet(tuple(replica(state.value, state) for state in ReplicaState))

    assert fleet.up == 3
    assert fleet.serving == 1


def test_the_backlog_is_what_the_gateway_holds_and_what_waits_in_replicas():
    fleet = Fleet((replica("a", ReplicaState.SERVING, in_flight=8, waiting=3),))

    assert Observation(0.0, "m", fleet, demand=1.0, held=2).backlog == 5
    assert Observation(0.0, "m", fleet, demand=1.0, held=None).backlog == 3
    assert fleet.in_flight == 8


@pytest.mark.parametrize("demand", [math.nan, math.inf, -1.0, None])
def test_a_demand_that_is_no_rate_is_unknown(demand):
    assert Observation(0.0, "m", Fleet(), demand=demand).demand is None


def test_a_demand_of_zero_is_known():
    assert Observation(0.0, "m", Fleet(), demand=0.0).demand == 0.0
