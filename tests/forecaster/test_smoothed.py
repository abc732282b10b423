"""Exponentially weighted means over gaps."""

import numpy as np
import pytest

from forecaster.smoothed import smoothed

GAP = np.nan


def test_a_half_life_after_a_step_half_of_it_is_seen() -> None:
    values = np.r_[np.zeros(50), np.ones(10)]

    assert smoothed(values, 10)[-1] == pytest.approx(0.5)


def test_a_gap_leaves_the_mean_as_it_was() -> None:
    found = smoothed(np.array([4.0, 2.0, GAP, GAP, 2.0]), 1)

    np.testing.assert_allclose(found, [4.0, 3.0, 3.0, 3.0, 2.5])


def test_before_the_first_value_the_mean_is_that_value() -> None:
    np.testing.assert_allclose(smoothed(np.array([GAP, GAP, 7.0]), 3), 7.0)
