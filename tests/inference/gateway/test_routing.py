import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.gateway.routing import LONGEST_SHUN_SECONDS, Shun, choose, is_short, shun
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ReplicaRecord

SERVING, STARTING, STANDBY = ReplicaState.SERVING, ReplicaState.STARTING, ReplicaState.STANDBY


def record(id_, *, model="tiny", state=SERVING, slots=8, since=0.0):
    return ReplicaRecord(id_, model, state, 1, 0.0, "127.0.0.1", 1, slots, since)


def chosen(records, *, in_flight=None, shunned=None, now=0.0):
    one = choose(records, model="tiny", in_flight=in_flight or {}, shunned=shunned or {}, now=now)
    return one and one.id


@pytest.mark.parametrize(
    ("records", "in_flight", "expected"),
    [
        pytest.param([], {}, None, id="nobody"),
        pytest.param([record("b"), record("a")], {}, "a", id="ties go by id"),
        pytest.param([record("a"), record("b")], {"a": 1}, "b", id="least in flight"),
        pytest.param(
            [record("a", slots=2), record("b", slots=8)], {"a": 1, "b": 3}, "b", id="per slot"
        ),
        pytest.param([record("a", slots=0)], {}, "a", id="no slots told"),
        pytest.param([record("a", model="other")], {}, None, id="another model"),
    ],
)
def test_the_replica_with_the_least_load_per_slot_is_chosen(records, in_flight, expected):
    assert chosen(records, in_flight=in_flight) == expected


@pytest.mark.parametrize("state", [state for state in ReplicaState if state is not SERVING])
def test_only_serving_replicas_are_chosen(state):
    assert chosen([record("a", state=state)]) is None


def test_a_replica_that_just_failed_is_passed_over_for_a_while():
    records = [record("a"), record("b")]
    failed = {"a": shun(None, records[0], now=100.0, seconds=0.5)}

    assert chosen(records, shunned=failed, now=100.49) == "b"
    assert chosen(records, shunned=failed, now=100.5) == "a"


def test_a_replica_that_changed_state_since_it_failed_is_a_fresh_start():
    failed = {"a": shun(None, record("a"), now=100.0, seconds=0.5)}

    assert chosen([record("a", since=1.0)], shunned=failed, now=100.1) == "a"


def test_each_further_failure_doubles_the_pass_over_up_to_a_bound():
    one, waits, now = None, [], 0.0
    for _ in range(8):
        one = shun(one, record("a"), now=now, seconds=0.5)
        waits.append(one.until - now)
        now = one.until

    assert waits == [0.5, 1, 2, 4, 8, 16, 16, 16]
    assert max(waits) == LONGEST_SHUN_SECONDS


def test_requests_that_fail_together_count_as_one_failure():
    first = shun(None, record("a"), now=0.0, seconds=0.5)

    assert shun(first, record("a"), now=0.4, seconds=0.5) is first


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

    assert is_short(records + others, "tiny") is expected


REPLICAS = st.lists(
    st.builds(
        record,
        st.text("abcdef", min_size=1, max_size=3),
        model=st.sampled_from(["tiny", "other"]),
        state=st.sampled_from(ReplicaState),
        slots=st.integers(1, 64),
    ),
    unique_by=lambda one: one.id,
    max_size=8,
)


@settings(deadline=None)
@given(REPLICAS, st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 99)))
def test_no_open_replica_has_less_load_than_the_chosen_one(records, in_flight):
    one = choose(records, model="tiny", in_flight=in_flight, shunned={}, now=0.0)
    loads = {
        other.id: in_flight.get(other.id, 0) / other.slots
        for other in records
        if other.model == "tiny" and other.state is SERVING
    }

    assert (one is None) == (not loads)
    if one is not None:
        assert loads[one.id] == min(loads.values())


@settings(deadline=None)
@given(REPLICAS, st.permutations(range(8)))
def test_the_order_of_the_table_does_not_matter(records, order):
    shuffled = [records[place] for place in order if place < len(records)]

    assert chosen(records) == chosen(shuffled)


@settings(deadline=None)
@given(REPLICAS, st.floats(0, 100), st.floats(0, 100))
def test_a_shunned_replica_is_never_chosen(records, until, now):
    shunned = {one.id: Shun(one.since, until, 1) for one in records[::2]}
    one = chosen(records, shunned=shunned, now=now)

    assert one not in shunned or now >= until
