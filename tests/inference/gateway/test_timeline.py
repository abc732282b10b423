import pytest

from inference.gateway.timeline import Timeline, Usage


def test_first_token_counts_from_arrival():
    timeline = Timeline(received=10.0)
    timeline.token_arrived(10.5)
    timeline.token_arrived(11.0)

    assert timeline.time_to_first_token == 0.5


def test_without_a_token_there_is_no_time_to_one():
    assert Timeline(received=10.0, flushed=11.0).time_to_first_token is None


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        pytest.param(0, None, id="no token"),
        pytest.param(1, None, id="one token has no gap"),
        pytest.param(2, 1.0, id="two tokens have one gap"),
        pytest.param(5, 0.25, id="gaps are averaged"),
    ],
)
def test_time_per_output_token_is_a_mean_of_gaps(tokens, expected):
    timeline = Timeline(0.0, first_token=1.0, last_token=2.0, usage=Usage(7, tokens))

    assert timeline.time_per_output_token == expected


def test_uncounted_tokens_give_no_time_per_token():
    assert Timeline(0.0, first_token=1.0, last_token=2.0).time_per_output_token is None


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
