from autoscaler.observation import Fleet, Replica
from autoscaler.plan import Plan, Reason
from autoscaler.publication import Publication
from telemetry import catalog
from telemetry.lifecycle import ReplicaState
from telemetry.publish import Metrics


def values(metrics, metric, label):
    return {
        sample.labels[label]: sample.value
        for sample in metrics.samples(0.0)
        if sample.name == metric.name
    }


def fleet(*states):
    replicas = [Replica(f"r{n}", state, 0.0, n, None) for n, state in enumerate(states)]
    return Fleet(tuple(replicas))


def plan(numbers):
    return Plan(0.0, "m", 3, 1, Reason.HELD, numbers)


def test_every_state_and_reason_is_there_before_anything_has_happened():
    metrics = Metrics()
    Publication(metrics, model="m")

    zeros = {state.value: 0.0 for state in ReplicaState}
    assert values(metrics, catalog.REPLICAS, "state") == zeros
    assert values(metrics, catalog.REPLICA_SECONDS, "state") == zeros
    assert values(metrics, catalog.PLAN_DECISIONS, "reason") == {one.value: 0.0 for one in Reason}


def test_replica_seconds_are_counted_for_the_states_they_were_spent_in():
    metrics = Metrics()
    shown = Publication(metrics, model="m")

    shown.fleet(fleet(ReplicaState.STARTING, ReplicaState.SERVING), now=100.0)
    shown.fleet(fleet(ReplicaState.SERVING, ReplicaState.SERVING), now=103.0)
    shown.fleet(fleet(), now=105.0)

    seconds = values(metrics, catalog.REPLICA_SECONDS, "state")
    assert (seconds["starting"], seconds["serving"]) == (3.0, 3.0 + 2 * 2.0)
    assert values(metrics, catalog.REPLICAS, "state")["serving"] == 0.0


def test_a_plan_is_shown_and_counted_and_an_unknown_capacity_is_not_shown():
    metrics = Metrics()
    shown = Publication(metrics, model="m")

    shown.plan(plan({}))

    assert values(metrics, catalog.REPLICAS_WANTED, "tier") == {"serving": 3.0, "standby": 1.0}
    assert values(metrics, catalog.PLAN_DECISIONS, "reason")["held"] == 1.0
    assert values(metrics, catalog.CAPACITY, "model") == {}

    shown.plan(plan({"capacity": 5.0}))
    assert values(metrics, catalog.CAPACITY, "model") == {"m": 5.0}
