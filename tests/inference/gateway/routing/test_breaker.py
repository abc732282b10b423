"""Scenarios of one replica's breaker, told as (seconds, what happens)."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.gateway.routing.breaker import (
    Breaker,
    BreakerSettings,
    BreakerState,
    answered,
    lost,
    probed,
    refused,
    released,
)

SETTINGS = BreakerSettings(
    failures=3, refusal_seconds=0.5, open_seconds=1.0, longest_seconds=16.0, window_seconds=30.0
)
OPEN, CLOSED, HALF_OPEN = BreakerState.OPEN, BreakerState.CLOSED, BreakerState.HALF_OPEN


def after(*events, settings=SETTINGS, breaker=None):
    """Return the breaker after events, each a time and a name."""
    one = breaker or Breaker()
    for now, event in events:
        if event == "sent":
            one = probed(one, now=now, settings=settings)
        elif event == "released":
            one = released(one, now=now)
        else:
            act = {"refused": refused, "lost": lost, "answered": answered}[event]
            one = act(one, now=now, settings=settings)
    return one


def test_one_refusal_opens_at_once_and_for_a_short_time():
    one = after((100.0, "refused"))

    assert not one.lets(100.49)
    assert one.lets(100.5)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        pytest.param([(0, "lost"), (1, "lost")], CLOSED, id="two in a row"),
        pytest.param([(0, "lost"), (1, "lost"), (2, "lost")], OPEN, id="three in a row"),
        pytest.param(
            [(0, "lost"), (1, "lost"), (2, "answered"), (3, "lost")], CLOSED, id="not in a row"
        ),
    ],
)
def test_losses_in_a_row_open(events, state):
    assert after(*events).state is state


@pytest.mark.parametrize(
    ("every", "seconds", "state"),
    [
        pytest.param(2, 1.0, OPEN, id="half of them"),
        pytest.param(3, 1.0, CLOSED, id="a third of them"),
        pytest.param(2, 10.0, CLOSED, id="half of too few in the window"),
    ],
)
def test_a_share_of_losses_opens_where_none_are_in_a_row(every, seconds, state):
    events = [
        (number * seconds, "lost" if number % every == 0 else "answered") for number in range(11)
    ]

    assert after(*events).state is state


@pytest.mark.parametrize(
    ("event", "expected"),
    [("refused", [0.5, 1, 2, 4, 8, 16, 16]), ("lost", [1, 2, 4, 8, 16, 16, 16])],
)
def test_each_failed_probe_doubles_the_pass_over_up_to_a_bound(event, expected):
    one = after((0.0, event), (0.0, event), (0.0, event))
    waits = [one.until]
    while len(waits) < len(expected):
        now = one.until
        one = after((now, "sent"), (now, event), breaker=one)
        waits.append(one.until - now)

    assert waits == expected


@pytest.mark.parametrize("event", ["refused", "lost", "answered"])
def test_what_comes_in_while_it_is_passed_over_counts_for_nothing(event):
    one = after((0.0, "refused"))

    assert after((0.4, event), breaker=one) is one


def test_one_probe_passes_and_its_answer_closes():
    one = after((0.0, "refused"), (0.5, "sent"))

    assert one.state is HALF_OPEN
    assert not one.lets(0.6)
    assert after((0.7, "answered"), breaker=one).state is CLOSED


def test_a_probe_that_takes_for_ever_does_not_close_the_door_for_ever():
    one = after((0.0, "refused"), (0.5, "sent"))

    assert not one.lets(0.5 + SETTINGS.probe_seconds - 0.01)
    assert one.lets(0.5 + SETTINGS.probe_seconds)


def test_a_probe_whose_client_leaves_makes_way_for_the_next():
    one = after((0.0, "refused"), (0.5, "sent"), (0.6, "released"))

    assert one.lets(0.6)
    assert one.state is OPEN


def test_a_replica_that_fails_again_soon_after_its_probe_is_passed_over_for_longer():
    first = after((0, "lost"), (0, "lost"), (0, "lost"))
    closed = after((1.0, "sent"), (1.0, "answered"), breaker=first)
    soon = after((5, "lost"), (5, "lost"), (5, "lost"), breaker=closed)
    late = after((60, "lost"), (60, "lost"), (60, "lost"), breaker=closed)

    assert soon.until - 5 == 2.0
    assert late.until - 60 == 1.0


def test_an_answer_makes_good_for_refusals():
    one = after((0, "refused"), (0.5, "sent"), (0.5, "answered"), (9, "refused"))

    assert one.until - 9 == 0.5


def test_what_is_long_past_is_over():
    one = after((0.0, "lost"), (1.0, "answered"))

    assert not one.is_over(29.9, SETTINGS)
    assert one.is_over(30.0, SETTINGS)


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 5), st.sampled_from(["refused", "lost", "answered", "sent", "released"])
    ),
    max_size=60,
)


@settings(deadline=None)
@given(EVENTS)
def test_no_pass_over_is_longer_than_the_bound(events):
    now, one = 0.0, Breaker()
    for wait, event in events:
        now += wait
        one = after((now, event), breaker=one)

        assert one.lets(now + SETTINGS.longest_seconds)


@settings(deadline=None)
@given(EVENTS)
def test_an_open_breaker_closes_only_by_an_answer(events):
    now, states = 0.0, [(CLOSED, "")]
    one = Breaker()
    for wait, event in events:
        now += wait
        one = after((now, event), breaker=one)
        states.append((one.state, event))

    for (before, _), (state, event) in pairwise(states):
        assert event == "answered" or before is state or state is not CLOSED


@pytest.mark.parametrize(
    ("setting", "value"), [("failures", 0), ("failure_share", 1.5), ("open_seconds", -1.0)]
)
def test_settings_that_make_no_sense_are_named(setting, value):
    with pytest.raises(ValueError, match=f"routing setting breaker_{setting} must be"):
        BreakerSettings(**{setting: value})
