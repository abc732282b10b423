from inference.gateway.routing.breaker import BreakerSettings, BreakerState
from inference.gateway.routing.breakers import Breakers
from tests.inference.gateway.routing.replicas import record

A, B = record("a"), record("b")


def breakers(*records):
    moves = []
    one = Breakers(BreakerSettings(), lambda record, state: moves.append((record.id, state)))
    one.keep(records)
    return one, moves


def test_only_the_one_that_failed_is_passed_over():
    one, _ = breakers(A, B)
    one.refused(A, 0.0)

    assert one.passed_over(0.1) == {"a"}
    assert one.is_open("a")
    assert not one.is_open("b")
    assert one.passed_over(0.6) == frozenset()


def test_every_move_is_told_once():
    one, moves = breakers(A)
    one.refused(A, 0.0)
    one.refused(A, 0.1)
    one.probed(A, 0.5)
    one.answered(A, 0.6)

    assert moves == [
        ("a", BreakerState.OPEN),
        ("a", BreakerState.HALF_OPEN),
        ("a", BreakerState.CLOSED),
    ]


def test_a_replica_that_was_restarted_or_changed_state_is_a_fresh_start():
    for later in (record("a", since=1.0), record("a", pid=2)):
        one, _ = breakers(A)
        one.refused(A, 0.0)
        one.keep([later])

        assert one.passed_over(0.1) == frozenset()


def test_verdicts_on_an_earlier_life_or_on_what_is_gone_count_for_nothing():
    one, moves = breakers(record("a", since=1.0))
    for _ in range(5):
        one.refused(A, 0.0)
        one.lost(A, 0.0)
        one.lost(B, 0.0)

    assert one.passed_over(0.1) == frozenset()
    assert moves == []


def test_an_answer_tells_whether_it_closed():
    one, _ = breakers(A)

    assert not one.answered(A, 0.0)
    one.refused(A, 1.0)
    assert not one.answered(A, 1.1)
    assert one.answered(A, 1.6)
    assert not one.answered(A, 1.7)


def test_a_replica_that_behaves_costs_no_memory_in_the_end():
    one, _ = breakers(A)
    one.lost(A, 0.0)
    one.answered(A, 1.0)
    one.answered(A, 100.0)
    one.answered(A, 200.0)

    assert one._breakers == {}


def test_only_a_request_past_an_open_breaker_is_a_probe():
    one, _ = breakers(A)

    assert not one.probed(A, 0.0)
    one.refused(A, 0.0)
    assert one.probed(A, 0.5)
    assert one.passed_over(0.6) == {"a"}
    one.released(A, 0.7)
    assert one.passed_over(0.7) == frozenset()
