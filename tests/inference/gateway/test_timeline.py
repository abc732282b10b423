import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.gateway.timeline import Phase, ReplicaTimings, Stage, Timeline, Usage
from tests.inference.gateway.exchanges import answered_timeline


def seconds(stages):
    return {stage.value: round(value, 6) for stage, value in stages.items()}


# --- the latencies --------------------------------------------------------------------------


def test_first_token_counts_from_arrival():
    timeline = Timeline(received=10.0)
    timeline.token_arrived(10.5)
    timeline.token_arrived(11.0)

    assert timeline.time_to_first_token == 0.5


def test_without_a_token_there_is_no_time_to_one():
    assert Timeline(received=10.0, flushed=11.0).time_to_first_token is None


@pytest.mark.parametrize(
    ("tokens", "choices", "expected"),
    [
        pytest.param(0, 1, None, id="no token"),
        pytest.param(1, 1, None, id="one token has no gap"),
        pytest.param(2, 1, 1.0, id="two tokens have one gap"),
        pytest.param(5, 1, 0.25, id="gaps are averaged"),
        pytest.param(20, 4, 0.25, id="choices are generated side by side"),
        pytest.param(4, 4, None, id="one token of each choice"),
        pytest.param(5, 0, 0.25, id="choices unknown"),
    ],
)
def test_time_per_output_token_is_a_mean_of_one_choices_gaps(tokens, choices, expected):
    timeline = Timeline(
        0.0, first_token=1.0, last_token=2.0, usage=Usage(7, tokens), choices=choices
    )

    assert timeline.time_per_output_token == expected


def test_uncounted_tokens_give_no_time_per_token():
    assert Timeline(0.0, first_token=1.0, last_token=2.0).time_per_output_token is None


def test_gaps_are_between_pieces_of_the_same_choice():
    timeline = Timeline(0.0)
    gaps = [
        timeline.token_arrived(at, choice=choice)
        for at, choice in [(1.0, 0), (1.0, 1), (1.5, 0), (2.0, 1), (1.75, 0)]
    ]

    assert gaps == [None, None, 0.5, 1.0, 0.25]


def test_duration_ends_with_the_last_byte():
    assert Timeline(1.0, flushed=4.0).duration == 3.0
    assert Timeline(1.0).duration is None


@pytest.mark.parametrize(
    ("timeline", "is_late"),
    [
        pytest.param(Timeline(0.0, first_token=1.0, flushed=9.0), False, id="in time"),
        pytest.param(Timeline(0.0, first_token=1.01, flushed=9.0), True, id="late"),
        pytest.param(Timeline(0.0, flushed=1.01), True, id="given up late"),
        pytest.param(Timeline(0.0, flushed=0.5), False, id="given up early"),
        pytest.param(Timeline(0.0), False, id="not over"),
    ],
)
def test_a_wait_is_late_beyond_the_objective(timeline, is_late):
    assert timeline.is_late(objective=1.0) is is_late


@pytest.mark.parametrize(
    ("timeline", "phase"),
    [
        (Timeline(0.0, queued=0.1), Phase.IN_LINE),
        (Timeline(0.0, queued=0.1, sent=0.2), Phase.BEFORE_FIRST_TOKEN),
        (Timeline(0.0, queued=0.1, sent=0.2, first_token=0.3), Phase.AFTER_FIRST_TOKEN),
    ],
    ids=str,
)
def test_the_phase_is_how_far_a_request_has_come(timeline, phase):
    assert timeline.phase is phase


# --- an answer in one piece -----------------------------------------------------------------


def test_the_tokens_of_a_whole_answer_came_when_its_replica_says():
    timeline = Timeline(0.0, sent=1.0, replica=ReplicaTimings(0.1, 0.1, 0.5))
    timeline.whole_arrived(2.0, first_token=1.2)

    assert (timeline.first_token, timeline.last_token) == (1.2, 1.7)


@pytest.mark.parametrize("replica", [None, ReplicaTimings(0.0, 0.0, 99.0)])
def test_no_token_came_after_the_whole_answer(replica):
    timeline = Timeline(0.0, sent=1.0, replica=replica)
    timeline.whole_arrived(2.0, first_token=5.0)

    assert (timeline.first_token, timeline.last_token) == (2.0, 2.0)


# --- the stages -----------------------------------------------------------------------------


def test_stages_follow_each_other_from_arrival_to_the_last_byte():
    timeline = answered_timeline(encode=0.05)

    assert seconds(timeline.stages()) == {
        "gateway": 0.02,  # before the line, and from the choice to the sending
        "queue": 0.2,
        "encode": 0.05,
        "schedule": 0.08,
        "prefill": 0.15,
        "decode": 0.9,
        "flush": 0.1,
        "device": 0.1,
    }
    assert [one.stage.value for one in timeline.intervals()] == [
        "gateway", "queue", "gateway", "encode", "schedule", "prefill", "decode", "flush",
    ]  # fmt: skip
    assert timeline.scheduled == pytest.approx(100.35)


def test_a_stage_that_did_not_take_place_is_absent_and_not_zero():
    stages = answered_timeline(device=0.0, encode=0.0).stages()

    assert Stage.ENCODE not in stages
    assert Stage.DEVICE not in stages
    assert Stage.FLUSH not in Timeline(0.0, sent=0.1, first_token=0.2, last_token=0.3).stages()


def test_what_the_replica_does_not_tell_is_not_made_up():
    timeline = answered_timeline()
    timeline.replica = None

    assert Stage.SCHEDULE not in timeline.stages()
    assert timeline.stages()[Stage.PREFILL] == pytest.approx(0.28)
    assert timeline.scheduled is None


def test_a_wait_of_no_time_is_zero():
    timeline = answered_timeline()
    timeline.routed = timeline.queued

    assert timeline.stages()[Stage.QUEUE] == 0.0


def test_tries_that_failed_are_the_gateways_time_and_no_wait_in_line():
    timeline = Timeline(0.0, queued=0.1, routed=0.3, sent=0.3)
    timeline.try_failed(1.3)
    assert (timeline.routed, timeline.sent, timeline.phase) == (None, None, Phase.IN_LINE)

    timeline.routed = timeline.sent = 1.8
    timeline.token_arrived(2.0)
    timeline.flushed = 2.0

    assert seconds(timeline.stages()) == {
        "gateway": 1.1, "queue": 0.7, "prefill": 0.2, "decode": 0.0, "flush": 0.0,
    }  # fmt: skip


def test_one_given_up_in_line_had_no_other_stage_since():
    timeline = Timeline(0.0, queued=0.1, flushed=5.0)

    assert seconds(timeline.stages()) == {"gateway": 0.1, "queue": 4.9}


def test_one_turned_away_before_the_line_was_the_gateways_throughout():
    assert seconds(Timeline(0.0, flushed=0.3).stages()) == {"gateway": 0.3}


def test_one_that_got_anothers_answer_was_at_no_replica():
    timeline = Timeline(0.0, first_token=0.3, last_token=0.5, flushed=0.6)

    assert seconds(timeline.stages()) == {"gateway": 0.3, "decode": 0.2, "flush": 0.1}


def test_one_whose_first_token_never_came_has_no_stage_at_the_replica():
    timeline = Timeline(0.0, queued=0.1, routed=0.2, sent=0.2, flushed=120.0)

    assert seconds(timeline.stages()) == {"gateway": 0.1, "queue": 0.1}


spans = st.floats(0, 1e4, allow_nan=False)
# A replica's clock is its own: what it tells may be of any size.
told = st.floats(-1e9, 1e9, allow_nan=False) | st.sampled_from([math.inf, math.nan])


@given(
    steps=st.lists(spans, min_size=6, max_size=6),
    tries=st.lists(st.tuples(spans, spans), max_size=3),
    timings=st.none() | st.builds(ReplicaTimings, told, told, told, told, told),
    received=st.floats(0, 1e6),
)
def test_stages_tile_the_duration_whatever_the_replica_tells(steps, tries, timings, received):
    timeline = Timeline(received, queued=received + steps[0], replica=timings)
    at = timeline.queued
    for wait, work in tries:
        timeline.routed = timeline.sent = at + wait
        timeline.try_failed(at := timeline.routed + work)
    timeline.replica = timings
    timeline.routed = at + steps[1]
    timeline.sent = timeline.routed + steps[2]
    timeline.first_token = timeline.sent + steps[3]
    timeline.last_token = timeline.first_token + steps[4]
    timeline.flushed = timeline.last_token + steps[5]
    stages, intervals = timeline.stages(), timeline.intervals()

    assert min(stages.values()) >= 0
    whole = sum(length for stage, length in stages.items() if stage is not Stage.DEVICE)
    assert whole == pytest.approx(timeline.duration, abs=1e-6)
    assert stages.get(Stage.DEVICE, 0.0) <= stages[Stage.PREFILL] + stages[Stage.DECODE]
    assert all(one.end == other.start for one, other in pairwise(intervals))
    assert stages[Stage.QUEUE] == pytest.approx(
        sum(wait for wait, _ in tries) + steps[1], abs=1e-6
    )


moments = st.none() | st.floats(0, 100)


@given(
    moments=st.lists(moments, min_size=6, max_size=6),
    timings=st.none() | st.builds(ReplicaTimings, told, told, told, told, told),
)
def test_no_stage_is_negative_whichever_moments_are_known(moments, timings):
    names = ("queued", "routed", "sent", "first_token", "last_token", "flushed")
    timeline = Timeline(10.0, replica=timings, **dict(zip(names, moments, strict=True)))

    assert all(length >= 0 for length in timeline.stages().values())
    assert all(one.seconds > 0 for one in timeline.intervals())
