import numpy as np
import pytest

from forecaster.scores import coverage, pinball


def test_pinball_charges_a_quantile_by_its_level() -> None:
    assert pinball(np.array([10.0]), np.array([[8.0]]), [0.9]) == pytest.approx(0.9 * 2)
    assert pinball(np.array([8.0]), np.array([[10.0]]), [0.9]) == pytest.approx(0.1 * 2)


def test_gaps_do_not_count() -> None:
    actual = np.array([np.nan, 10.0])

    assert pinball(actual, np.array([[0.0], [10.0]]), [0.5]) == 0.0
    assert coverage(actual, np.array([0.0, 10.0])) == 1.0


def test_nothing_to_compare_is_not_a_score() -> None:
    assert np.isnan(pinball(np.array([np.nan]), np.array([[1.0]]), [0.5]))
    assert np.isnan(coverage(np.array([np.nan]), np.array([1.0])))


def test_coverage_is_the_share_at_or_below() -> None:
    assert coverage(np.array([1.0, 2.0, 3.0, 4.0]), np.full(4, 3.0)) == 0.75
