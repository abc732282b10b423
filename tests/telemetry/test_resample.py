import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.resample import increase_per_step, newest_per_step
from telemetry.series import Window

MINUTES = Window(60, 240, 60)
NAN = math.nan


def increases(readings, window=MINUTES):
    at, values = np.array(readings, dtype=float).reshape(-1, 2).T
    return increase_per_step(at, values, window)


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        pytest.param([], [NAN] * 4, id="nothing read"),
        pytest.param([(30, 5)], [NAN] * 4, id="one reading"),
        pytest.param([(10, 5), (50, 8)], [3, NAN, NAN, NAN], id="two readings in a step"),
        pytest.param([(0, 5), (60, 8)], [3, NAN, NAN, NAN], id="from the end of the last step"),
        pytest.param([(50, 5), (110, 8)], [NAN, 3, NAN, NAN], id="from inside the last step"),
        pytest.param([(59, 5), (181, 8)], [NAN] * 4, id="a whole step between"),
        pytest.param([(60, 1), (61, 2), (120, 4)], [NAN, 3, NAN, NAN], id="starts are shut out"),
        pytest.param([(50, 5), (110, 2)], [NAN, 2, NAN, NAN], id="a reset counts from zero"),
        pytest.param(
            [(50, 5), (80, 9), (100, 0), (110, 4)], [NAN, 8, NAN, NAN], id="a reset in the middle"
        ),
        pytest.param([(50, math.inf), (110, math.inf)], [NAN] * 4, id="infinity gains nothing"),
        pytest.param([(50, 5), (110, 5)], [NAN, 0, NAN, NAN], id="standing still is zero"),
    ],
)
def test_increase_per_step(readings, expected):
    np.testing.assert_array_equal(increases(readings), expected)


def test_newest_per_step_is_open_to_the_left():
    at, values = np.array([0.0, 60.0, 60.0004, 121.0]), np.array([1.0, 2.0, 3.0, 4.0])

    # 60.0004 is the same millisecond as 60.
    np.testing.assert_array_equal(newest_per_step(at, values, MINUTES), [3, NAN, 4, NAN])


def test_times_meet_although_binary_fractions_do_not():
    window = Window(1_700_000_000.1, 1_700_000_000.9, 0.1)
    at = np.array([1_700_000_000 + i / 10 for i in range(10)])

    assert newest_per_step(at, at, window).tolist() == at[1:].tolist()
    assert increase_per_step(at, at, window) == pytest.approx([0.1] * 9, abs=1e-6)


moments = st.lists(st.integers(0, 300), unique=True, max_size=60).map(sorted)


@settings(deadline=None)
@given(moments, st.data())
def test_newest_per_step_is_what_a_search_finds(at, data):
    values = data.draw(st.lists(st.integers(0, 9), min_size=len(at), max_size=len(at)))
    found = newest_per_step(np.array(at, float), np.array(values, float), MINUTES)

    for end, value in zip(MINUTES.times, found, strict=True):
        inside = [v for t, v in zip(at, values, strict=True) if end - 60 < t <= end]
        assert value == inside[-1] if inside else math.isnan(value)


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=301, max_size=301))
def test_steps_add_up_to_the_growth_whatever_the_resets(values):
    at = np.arange(301, dtype=float)
    grown = sum(b - a if b >= a else b for a, b in pairwise(values[:241]))

    assert increase_per_step(at, np.array(values, float), MINUTES).sum() == grown


@settings(deadline=None)
@given(moments, st.lists(st.floats(0, 1e15), min_size=60, max_size=60))
def test_an_increase_is_never_below_zero(at, values):
    found = increase_per_step(np.array(at, float), np.array(values[: len(at)]), MINUTES)

    assert (np.nan_to_num(found) >= 0).all()
