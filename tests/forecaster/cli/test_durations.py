import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.cli.durations import DurationError, Span, parse_delay, parse_duration, parse_span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("90", 90, id="a bare number is seconds"),
        pytest.param("90s", 90, id="seconds"),
        pytest.param("60m", 3600, id="minutes"),
        pytest.param("1.5h", 5400, id="a fraction"),
        pytest.param("1h30m", 5400, id="two units"),
        pytest.param(" 2 days ", 172_800, id="words and blanks"),
        pytest.param("1w", 604_800, id="a week"),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5m", "5 months", "10ms", "m", "1h-30m", "nan", "1e9"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(DurationError, match="expected a duration"):
        parse_duration(text)


def test_a_delay_may_be_none_at_all() -> None:
    assert parse_delay("0") == 0
    assert parse_delay("5m") == 300


def test_a_bare_horizon_counts_steps_and_one_with_a_unit_is_time() -> None:
    assert parse_span("6") == Span(steps=6)
    assert parse_span("6m") == Span(seconds=360)


@pytest.mark.parametrize("text", ["0", "1.5", "9999999"])
def test_a_horizon_of_no_whole_number_of_steps_is_refused(text: str) -> None:
    with pytest.raises(DurationError, match="whole number of steps"):
        parse_span(text)


@pytest.mark.parametrize(
    ("span", "steps"),
    [
        pytest.param(Span(seconds=600), 10, id="just"),
        pytest.param(Span(seconds=601), 11, id="covers a part"),
        pytest.param(Span(seconds=1), 1, id="one at least"),
        pytest.param(Span(steps=7), 7, id="steps"),
    ],
)
def test_a_span_is_covered_by_whole_steps(span: Span, steps: int) -> None:
    assert span.steps_of(60.0) == steps


@given(st.integers(1, 10_000_000))
def test_every_whole_number_of_seconds_is_read_back(seconds: int) -> None:
    assert parse_duration(f"{seconds}s") == parse_duration(str(seconds)) == seconds


@given(st.text(max_size=12))
def test_no_text_raises_anything_but_the_error_for_people(text: str) -> None:
    with contextlib.suppress(DurationError):
        assert parse_duration(text) > 0
