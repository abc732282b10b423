"""Quantiles of weighted errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecaster.combination.quantiles import mean_loss, quantiles_by_level, weighted_quantiles

GAP = np.nan


def test_equal_weights_give_the_usual_quantiles() -> None:
    errors = np.random.default_rng(0).normal(size=(5000, 1))
    levels = np.array([0.1, 0.5, 0.9])

    found = weighted_quantiles(errors, np.ones(5000), levels)

    np.testing.assert_allclose(found[0], np.quantile(errors, levels), atol=0.01)


def test_a_heavy_error_counts_like_many() -> None:
    found = weighted_quantiles(np.array([[0.0], [1.0]]), np.array([1.0, 99.0]), np.array([0.3]))

    assert found[0, 0] > 0.5


def test_gaps_do_not_count() -> None:
    errors = np.array([[1.0, GAP], [GAP, GAP], [3.0, GAP]])
    found = weighted_quantiles(errors, np.ones(3), np.array([0.5]))

    assert found[0, 0] == 2.0
    assert np.isnan(found[1, 0])


@given(arrays(np.float64, (20, 3), elements=st.floats(-1e3, 1e3) | st.just(GAP)))
def test_quantiles_rise_and_stay_among_the_errors(errors: np.ndarray) -> None:
    found = weighted_quantiles(errors, np.ones(20), np.array([0.05, 0.5, 0.95]))

    for column, row in zip(errors.T, found, strict=True):
        known = column[np.isfinite(column)]
        if known.size:
            assert np.all(np.diff(row) >= 0)
            assert known.min() <= row[0] <= row[-1] <= known.max()


def test_each_level_may_have_errors_of_its_own() -> None:
    errors = np.stack([np.full((9, 1), 1.0), np.full((9, 1), 2.0)], axis=-1)

    found = quantiles_by_level(errors, np.ones(9), np.array([0.1, 0.9]))

    np.testing.assert_array_equal(found, [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("error", "level", "loss"),
    [
        pytest.param(2.0, 0.9, 1.8, id="demand above a high quantile"),
        pytest.param(-2.0, 0.9, 0.2, id="demand below it"),
        pytest.param(0.0, 0.5, 0.0, id="met"),
    ],
)
def test_a_quantile_loses_by_how_rarely_it_should_be_wrong_so(
    error: float, level: float, loss: float
) -> None:
    found = mean_loss(np.full((1, 1, 1), error), np.ones(1), np.array([level]))

    assert found[0, 0] == pytest.approx(loss)


def test_the_loss_of_nothing_known_is_unknown() -> None:
    assert np.isnan(mean_loss(np.full((4, 1, 1), GAP), np.ones(4), np.array([0.5]))).all()
