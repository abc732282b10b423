import pytest

from autoscaler.capacity import Capacity
from autoscaler.observation import Fleet, Replica
from autoscaler.profile import ProfileReader
from telemetry import catalog
from telemetry.lifecycle import ReplicaState
from telemetry.series import Sample

NOW = 1_000_000.0
PROFILE = {
    catalog.REPLICA_ITERATION_FIXED: 0.010,
    catalog.REPLICA_ITERATION_DECODE: 0.001,
    catalog.REPLICA_ITERATION_PREFILL: 0.0001,
    catalog.REPLICA_SLOTS: 8.0,
}


def profile(replica="a", *, at=NOW, **but):
    values = {metric.name: value for metric, value in PROFILE.items()} | but
    labels = {"model": "m", "replica": replica}
    return [Sample(name, labels, at, value) for name, value in values.items()]


def work(replica, *, slower, iterations=100):
    """Readings of a replica that did so many iterations of eight tokens in the window."""
    grown = {
        catalog.REPLICA_ITERATIONS: iterations,
        catalog.REPLICA_DECODE_TOKENS: 8 * iterations,
        catalog.REPLICA_PREFILL_TOKENS: 0,
        catalog.REPLICA_BUSY: slower * 0.018 * iterations,
    }
    labels = {"model": "m", "replica": replica}
    return [
        Sample(metric.name, labels, at, value)
        for metric, growth in grown.items()
        for at, value in ((NOW - 9.0, 0.0), (NOW, float(growth)))
    ]


def serving(*names, since=NOW - 100.0):
    replicas = [Replica(name, ReplicaState.SERVING, since, 1, None) for name in names]
    return Fleet(tuple(replicas))


def test_capacity_is_what_a_replica_publishes_of_its_profile(store):
    store.write(profile())

    capacity = ProfileReader(store, model="m").capacity(Fleet(), at=NOW)

    assert capacity == Capacity(0.010, 0.001, 0.0001, 8)


def test_of_several_profiles_the_middle_one_counts(store):
    fixed = catalog.REPLICA_ITERATION_FIXED.name
    store.write(profile("a"))
    store.write(profile("b", **{fixed: 0.012}))
    store.write(profile("c", **{fixed: 99.0}))

    assert ProfileReader(store, model="m").capacity(Fleet(), at=NOW).alpha == 0.012


def test_nothing_published_is_no_capacity(store):
    assert ProfileReader(store, model="m").capacity(Fleet(), at=NOW) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {catalog.REPLICA_SLOTS.name: 0.0},
        {catalog.REPLICA_ITERATION_FIXED.name: -1.0},
        {catalog.REPLICA_ITERATION_FIXED.name: float("inf")},
    ],
    ids=str,
)
def test_a_profile_that_cannot_be_is_as_good_as_none(store, wrong):
    store.write(profile(**wrong))

    assert ProfileReader(store, model="m").capacity(Fleet(), at=NOW) is None


def test_the_last_profile_counts_on_while_no_replica_runs_or_the_store_is_away(
    store, switch, unavailable
):
    store.write(profile())
    reader = ProfileReader(switch, model="m")
    known = reader.capacity(Fleet(), at=NOW)

    assert reader.capacity(Fleet(), at=NOW + 10_000) == known
    switch.reader = unavailable
    assert reader.capacity(Fleet(), at=NOW + 10_000) == known


def test_replicas_slower_than_profiled_correct_the_capacity(store):
    store.write([*profile("a"), *work("a", slower=2.0)])
    reader = ProfileReader(store, model="m")

    for _ in range(30):
        capacity = reader.capacity(serving("a"), at=NOW)

    assert capacity.correction == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize(
    ("served_for", "is_learnt_from"),
    [pytest.param(14.9, False, id="still warm-up"), pytest.param(15.0, True, id="settled")],
)
def test_replicas_that_have_only_just_become_ready_teach_nothing(
    store, served_for, is_learnt_from
):
    store.write([*profile("a"), *work("a", slower=2.0)])
    reader = ProfileReader(store, model="m", window_seconds=10.0, settle_seconds=5.0)

    capacity = reader.capacity(serving("a", since=NOW - served_for), at=NOW)

    assert (capacity.correction > 1.0) is is_learnt_from


def test_replicas_that_do_not_serve_teach_nothing(store):
    store.write([*profile("a"), *work("gone", slower=4.0)])

    assert ProfileReader(store, model="m").capacity(serving("a"), at=NOW).correction == 1.0
