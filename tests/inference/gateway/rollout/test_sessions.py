import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.gateway.rollout.sessions import Seat, Sessions, number_of, share_of


def noted(*seats, limit=10, ttl=60.0):
    sessions = Sessions(limit=limit, ttl_seconds=ttl)
    for session, version, seen in seats:
        sessions.note(session, Seat("tiny", version, seen))
    return sessions


def test_a_session_is_remembered_until_it_was_silent_for_too_long():
    sessions = noted((1, "v1", 100.0))

    assert sessions.seat(1, 159.9) == Seat("tiny", "v1", 100.0)
    assert sessions.seat(1, 160.0) is None
    assert sessions.seat(2, 100.0) is None


def test_the_session_silent_the_longest_gives_way():
    sessions = noted((1, "v1", 0.0), (2, "v1", 1.0), (1, "v1", 2.0), (3, "v1", 3.0), limit=2)

    assert sessions.seat(2, 3.0) is None
    assert sessions.seat(1, 3.0) is not None
    assert len(sessions) == 2


def test_sessions_elsewhere_are_counted_per_model():
    sessions = noted((1, None, 0.0), (2, "v1", 0.0), (3, "v2", 0.0), (2, "v2", 1.0))
    sessions.note(9, Seat("other", "v1", 0.0))

    assert sessions.elsewhere("tiny", "v2") == 1
    assert sessions.elsewhere("tiny", "v1") == 3


def test_silent_sessions_no_longer_count():
    sessions = noted((1, "v1", 0.0), (2, "v1", 30.0))
    sessions.expire(60.0)

    assert sessions.elsewhere("tiny", "v2") == 1
    assert len(sessions) == 1


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([None, "v1", "v2"]))))
def test_the_count_is_that_of_the_seats(notes):
    sessions = noted(*((one, on, float(at)) for at, (one, on) in enumerate(notes)), limit=4)
    sessions.expire(float(len(notes)) + 58.0)
    seats = [sessions.seat(one, float(len(notes)) + 58.0) for one in range(7)]

    assert sessions.elsewhere("tiny", "v2") == sum(
        seat is not None and seat.version != "v2" for seat in seats
    )


def test_shares_are_uniform_and_the_same_everywhere():
    shares = sorted(share_of("tiny", "v2", f"req-{number}") for number in range(4000))

    assert max(abs(share - at / 4000) for at, share in enumerate(shares)) < 0.03
    assert share_of("tiny", "v2", "req-1") == pytest.approx(0.96318, abs=1e-5)


def test_parts_do_not_run_into_each_other():
    assert number_of("a", "bc") != number_of("ab", "c")
    assert number_of("a", "\udc80") != number_of("a", "b")  # of a header that is no UTF-8
