"""A day keeps its shape when it is squeezed, and its gaps stay gaps."""

import numpy as np
import pytest

from telemetry.series import Series, Window
from warmfront.day import DAY_SECONDS, STEPS_PER_DAY, Day, office_demand, squeeze


def _series(values: list[float], step: float) -> Series:
    return Series({}, Window(0.0, step * (len(values) - 1), step), np.array(values))


def test_the_last_day_is_played_and_those_before_are_history():
    demand = _series([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], DAY_SECONDS / 2)

    day = squeeze(demand, live_seconds=20.0, peak=6.0)

    assert day.history.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert day.rates.tolist() == [5.0, 6.0]
    assert (day.step, day.live_seconds, day.compression) == (10.0, 20.0, DAY_SECONDS / 20)


def test_a_trace_shorter_than_a_day_is_played_whole_without_history():
    day = squeeze(_series([1.0, 2.0, 4.0], 60.0), live_seconds=30.0, peak=8.0)

    assert day.history.size == 0
    assert day.rates.tolist() == [2.0, 4.0, 8.0]


def test_the_highest_step_that_is_played_reaches_the_peak():
    day = squeeze(office_demand(days=3, rng=np.random.default_rng(1)), live_seconds=60, peak=12)

    assert day.rates.max() == pytest.approx(12.0)
    assert len(day.rates) == STEPS_PER_DAY


def test_a_day_without_requests_is_refused():
    with pytest.raises(ValueError, match="no requests"):
        squeeze(_series([0.0, 0.0], 60.0), live_seconds=10.0, peak=5.0)


def test_arrivals_follow_the_rates():
    day = Day(np.array([]), np.array([0.0, 50.0, 10.0]), 20.0, 1.0, 1.0)

    times = np.array(day.arrivals(np.random.default_rng(3)))

    assert (np.diff(times) >= 0).all()
    assert (times < 20.0).sum() == 0
    assert ((times >= 20.0) & (times < 40.0)).sum() == pytest.approx(1000, rel=0.15)
    assert (times >= 40.0).sum() == pytest.approx(200, rel=0.3)


def test_a_gap_is_played_at_the_level_before_it():
    day = Day(np.array([]), np.array([np.nan, 40.0, np.nan]), 10.0, 1.0, 1.0)

    times = np.array(day.arrivals(np.random.default_rng(3)))

    for step in range(3):
        inside = ((times >= 10.0 * step) & (times < 10.0 * (step + 1))).sum()
        assert inside == pytest.approx(400, rel=0.25)
