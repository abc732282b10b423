from contextlib import ExitStack, suppress

import pytest

from inference.gateway.routing.affinity import prefix_of
from inference.gateway.routing.choice import Capacity, Reason
from inference.gateway.routing.region import Region
from inference.gateway.routing.want import Want
from telemetry.catalog import GATEWAY_REGION_ROUTED, GATEWAY_ROUTED
from telemetry.clock import ManualClock
from telemetry.lifecycle import ReplicaState
from telemetry.publish import Metrics
from tests.inference.gateway.routing.replicas import SERVING, new_roster, page, record

DRAINING = ReplicaState.DRAINING
WANT = Want("tiny", input_tokens=200, output_tokens=100)
A, B = record("a"), record("b")
PREFIX = prefix_of([b"x" * 4096])


@pytest.fixture
def clock():
    return ManualClock(100.0)


def chosen(roster, want=WANT):
    choice = roster.choose(want)
    return choice and choice.record.id


def filled(roster, stack, one, number, want=WANT):
    for _ in range(number):
        stack.enter_context(roster.sending(one, want))


def test_models_are_known_from_the_start_and_once_seen_for_ever(clock):
    roster = new_roster(clock, models=["tiny"])
    clock.advance(5.0)

    assert roster.update([record("x", model="new", models=("new", "alias"))]) == ["alias", "new"]
    assert roster.update([]) == []
    assert roster.models == {"tiny": 100.0, "alias": 105.0, "new": 105.0}


def test_requests_in_flight_are_counted_until_they_end_however_they_end(clock):
    roster = new_roster(clock, [A, B])

    with suppress(RuntimeError), roster.sending(A, WANT):
        assert chosen(roster) == "b"
        raise RuntimeError
    assert chosen(roster) == "a"


def test_a_request_of_several_choices_takes_as_many_places(clock):
    roster = new_roster(clock, [A])

    with roster.sending(A, Want("tiny", choices=8)):
        assert roster.choose(WANT)
        assert not roster.choose(Want("tiny", choices=2))


def test_capacity_is_what_is_open_and_not_filled(clock):
    starting = record("c", state=ReplicaState.STARTING, version="v2")
    roster = new_roster(clock, [A, record("b", version="v2", slots=4), starting])
    with ExitStack() as stack:
        filled(roster, stack, A, 3)

        assert roster.capacity("tiny") == Capacity(2, 12, 9, is_waking=True)
        assert roster.capacity("tiny", "v2") == Capacity(1, 4, 4, is_waking=True)
        roster.refused(A)
        assert roster.capacity("tiny") == Capacity(1, 4, 4, is_waking=True)
    assert roster.capacity("other") == Capacity()


def test_whether_a_want_can_be_served_at_all_does_not_depend_on_room(clock):
    roster = new_roster(clock, [A])
    roster.load_told(A, page(modalities=frozenset({"text"})), asked_at=clock.monotonic())
    with ExitStack() as stack:
        filled(roster, stack, A, 9)

        assert not roster.has_room(WANT)
        assert roster.is_served(WANT)
        assert roster.is_served(Want("tiny", has_images=True))  # by a replica that says no
        assert not roster.is_served(Want("tiny", version="v2"))


def test_room_is_told_when_a_request_ends_the_table_is_read_a_breaker_closes_or_all_ends(clock):
    roster, told = new_roster(clock, [A]), []
    roster.on_room(lambda: told.append(roster.is_closed))

    with roster.sending(A, WANT):
        assert told == []
    assert len(told) == 1
    roster.update([A])
    assert len(told) == 2
    roster.refused(A)
    roster.answered(A)
    assert len(told) == 2
    clock.advance(1.0)
    roster.answered(A)
    assert len(told) == 3
    roster.close()
    assert told == [False, False, False, True]


def test_the_room_of_a_request_that_ends_is_there_when_it_is_told(clock):
    roster, seen = new_roster(clock, [A]), []
    with ExitStack() as stack:
        filled(roster, stack, A, 8)
        roster.on_room(lambda: seen.append(roster.has_room(WANT)))
        with roster.sending(A, WANT):
            assert not roster.has_room(WANT)

        assert seen == [True]


def test_a_conversation_comes_back_to_its_replica(clock):
    roster, want = new_roster(clock, [A, B]), Want("tiny", session="t/s")
    for one in (A, B):
        roster.load_told(one, None, asked_at=100.0)
    with roster.sending(B, want):
        pass

    assert roster.choose(want).record is B
    assert roster.choose(want).reason is Reason.SESSION
    assert chosen(roster, Want("tiny", session="t/other")) == "a"
    assert roster.sessions.recall("tiny", "t/s", clock.monotonic()).replica == "b"
    clock.advance(1800.0)
    assert chosen(roster, want) == "a"


def test_a_prefix_draws_to_where_it_was_computed_until_that_replica_is_restarted(clock):
    want = Want("tiny", input_tokens=1000, output_tokens=100, prefix=PREFIX)
    roster = new_roster(clock, [A, B])
    with roster.sending(B, want):
        pass

    assert roster.choose(want).reason is Reason.PREFIX
    assert chosen(roster, want) == "b"
    roster.update([A, record("b", pid=2)])
    assert chosen(roster, want) == "a"


def test_a_burst_with_a_cached_prefix_stays_together_between_two_loads(clock):
    want = Want("tiny", input_tokens=1000, output_tokens=20, prefix=PREFIX)
    roster = new_roster(clock, [A, B])
    for one in (A, B):
        roster.load_told(one, page(), asked_at=100.0)
    with roster.sending(B, want):
        pass
    with ExitStack() as stack:
        for _ in range(4):
            assert chosen(roster, want) == "b"
            stack.enter_context(roster.sending(B, want))


# --- Loads


def test_a_long_prompt_weighs_on_its_replica_until_it_ends_or_the_load_tells_of_it(clock):
    roster = new_roster(clock, [A, B])
    for one in (A, B):
        roster.load_told(one, page(running=2), asked_at=100.0)
    long = Want("tiny", input_tokens=3000)
    with ExitStack() as others:
        filled(roster, others, B, 2)
        with roster.sending(A, long):
            assert chosen(roster) == "b"
        assert chosen(roster) == "a"
        with roster.sending(A, long):
            roster.load_asked(A)
            roster.load_told(A, page(running=1), asked_at=100.0)
            assert chosen(roster) == "a"
        assert chosen(roster) == "a"


def test_a_load_counts_until_it_is_stale(clock):
    roster = new_roster(clock, [A, B], stale_seconds=2.0)
    for one, running in ((A, 0), (B, 5)):
        roster.load_asked(one)
        roster.load_told(one, page(running=running), asked_at=100.0)
    clock.advance(1.0)
    roster.load_asked(B)
    roster.load_told(B, page(running=5), asked_at=101.0)

    clock.advance(1.0)
    assert chosen(roster) == "a"
    clock.advance(0.1)
    assert chosen(roster) == "b"
    clock.advance(2.0)
    assert roster.choose(WANT).reason is Reason.TWO_CHOICES


def test_an_engine_that_does_not_advance_counts_as_saturated(clock):
    roster = new_roster(clock, [A, B], stuck_seconds=10.0)
    roster.load_told(A, page(progress_age=9.9), asked_at=100.0)
    roster.load_told(B, page(running=3), asked_at=100.0)

    assert chosen(roster) == "a"
    roster.load_told(A, page(progress_age=10.0), asked_at=100.0)
    assert chosen(roster) == "b"


def test_a_replica_without_a_page_is_never_stale(clock):
    roster = new_roster(clock, [A, B])
    roster.load_told(A, None, asked_at=100.0)
    roster.load_told(B, page(), asked_at=100.0)
    clock.advance(1000.0)

    assert chosen(roster) == "a"
    assert roster.choose(WANT).reason is Reason.LOAD


def test_a_replica_is_not_stale_before_there_was_time_to_ask_it(clock):
    roster = new_roster(clock, [A, B], stale_seconds=2.0)

    clock.advance(2.0)
    assert roster.choose(WANT).reason is Reason.LOAD
    clock.advance(0.1)
    assert roster.choose(WANT).reason is Reason.TWO_CHOICES


def test_the_load_of_what_is_gone_is_nobodys(clock):
    roster = new_roster(clock, [A, B])
    roster.load_asked(record("x"))
    roster.load_told(record("x"), page(), asked_at=100.0)
    roster.load_told(record("a", pid=9), page(waiting_tokens=10**6), asked_at=100.0)

    assert chosen(roster) == "a"


# --- Metrics


def test_choices_are_counted_by_reason_and_region(clock):
    metrics = Metrics()
    roster = new_roster(
        clock,
        [record("a", slots=1), record("b", region="east")],
        metrics=metrics,
        regions={"east": Region(latency_seconds=0.1)},
    )
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(roster.sending(roster.choose(WANT).record, WANT))
    roster.has_room(WANT)

    routed, by_region = metrics.counter(GATEWAY_ROUTED), metrics.counter(GATEWAY_REGION_ROUTED)
    assert routed.labels("tiny", "load")._value.get() == 2
    assert routed.labels("tiny", "spill")._value.get() == 1
    assert routed.labels("tiny", "session")._value.get() == 0
    assert by_region.labels("tiny", "local")._value.get() == 2
    assert by_region.labels("tiny", "east")._value.get() == 1


def test_a_shortage_is_remembered(clock):
    roster = new_roster(clock, [A])
    clock.advance(1.0)
    roster.update([record("a", state=DRAINING)])
    clock.advance(1.0)
    roster.update([record("b", state=SERVING)])

    assert roster.was_short("tiny", since=101.5, until=101.6)
    assert not roster.was_short("tiny", since=100.0, until=100.5)
    assert not roster.was_short("tiny", since=102.1, until=103.0)
    assert roster.serving("tiny") == 1
