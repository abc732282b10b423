"""Replicas that drain, die, come back and fail, while requests are under way."""

from contextlib import ExitStack

import pytest

from inference.gateway.routing.affinity import prefix_of
from inference.gateway.routing.choice import Capacity
from inference.gateway.routing.want import Want
from telemetry.catalog import GATEWAY_BREAKER_MOVES
from telemetry.clock import ManualClock
from telemetry.lifecycle import ReplicaState
from telemetry.publish import Metrics
from tests.inference.gateway.routing.replicas import new_roster, record

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


def test_a_replica_that_drains_between_its_choice_and_its_request_harms_nobody(clock):
    roster = new_roster(clock, [A, B])
    choice = roster.choose(WANT)
    roster.update([record("a", state=DRAINING, since=1.0), B])

    with roster.sending(choice.record, WANT):
        roster.refused(choice.record)
        assert chosen(roster) == "b"
    roster.update([B])
    assert roster.capacity("tiny") == Capacity(1, 8, 8)


def test_a_replica_that_is_gone_before_its_request_was_sent_harms_nobody(clock):
    roster = new_roster(clock, [A, B])
    choice = roster.choose(WANT)
    roster.update([])

    with roster.sending(choice.record, WANT):
        roster.lost(choice.record)
    roster.update([A])
    assert roster.capacity("tiny") == Capacity(1, 8, 8)


def test_requests_of_a_process_that_died_do_not_burden_its_successor(clock):
    roster = new_roster(clock, [A])
    with ExitStack() as stack:
        filled(roster, stack, A, 9)
        assert not roster.has_room(WANT)
        roster.update([record("a", pid=2, since=1.0)])
        assert roster.capacity("tiny").free == 8
    assert roster.capacity("tiny").free == 8


def test_requests_that_outlive_a_pause_of_their_replica_still_count_after_it(clock):
    roster = new_roster(clock, [A])
    with ExitStack() as stack:
        filled(roster, stack, A, 9)
        roster.update([record("a", state=ReplicaState.STANDBY, since=1.0)])
        roster.update([])
        roster.update([record("a", since=2.0)])

        assert not roster.has_room(WANT)
    assert roster.capacity("tiny").free == 8


def test_a_whole_fleet_may_go_and_come_back_under_load(clock):
    roster = new_roster(clock, [A, B])
    for since in range(1, 20):
        with ExitStack() as stack:
            for _ in range(20):
                choice = roster.choose(WANT)
                if choice is not None:
                    stack.enter_context(roster.sending(choice.record, WANT))
            gone = record("a" if since % 2 else "b", state=DRAINING, since=since)
            roster.update([gone])
            assert not roster.has_room(WANT)
        roster.update([record("a", since=since), record("b", since=since)])

        assert roster.capacity("tiny") == Capacity(2, 16, 16)


def test_a_replica_that_refused_is_passed_over_then_probed_then_trusted(clock):
    roster = new_roster(clock, [A])
    roster.refused(A)

    assert not roster.has_room(WANT)
    clock.advance(0.5)
    with roster.sending(A, WANT):
        assert not roster.has_room(WANT)
        roster.answered(A)
        assert roster.has_room(WANT)


def test_a_probe_whose_client_left_is_followed_by_another(clock):
    roster = new_roster(clock, [A])
    roster.refused(A)
    clock.advance(0.5)
    with roster.sending(A, WANT):
        pass

    assert roster.has_room(WANT)


def test_a_fleet_that_fails_altogether_recovers_when_it_answers_again(clock):
    roster = new_roster(clock, [A, B])
    for _ in range(60):
        if (choice := roster.choose(WANT)) is not None:
            with roster.sending(choice.record, WANT):
                roster.lost(choice.record)
        clock.advance(0.5)
    tries = 0
    while tries < 100 and roster.capacity("tiny").serving != 2:
        if (choice := roster.choose(WANT)) is not None:
            with roster.sending(choice.record, WANT):
                roster.answered(choice.record)
        clock.advance(0.5)
        tries += 1

    assert tries <= 16 / 0.5 + 1


def test_moves_of_breakers_are_counted(clock):
    metrics = Metrics()
    roster = new_roster(clock, [A], metrics=metrics)
    roster.refused(A)
    roster.refused(A)

    moves = metrics.counter(GATEWAY_BREAKER_MOVES)
    assert moves.labels("tiny", "open")._value.get() == 1
    assert moves.labels("tiny", "closed")._value.get() == 0
