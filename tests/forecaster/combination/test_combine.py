"""Members joined."""

import numpy as np
import pytest

from forecaster.combination.asking import Past
from forecaster.combination.combine import combine
from forecaster.combination.conformal import Prior
from forecaster.history import History
from forecaster.models.autoregression import Autoregression
from forecaster.models.levels import LastValue, MovingAverage

LEVELS = np.array([0.1, 0.5, 0.9])


def test_the_combination_is_nearer_to_the_better_member() -> None:
    history = History(np.random.default_rng(0).normal(10, 1, 900), 600.0, 144)
    past = Past.of(history, first=1, last=6)
    made = combine(
        [LastValue(), MovingAverage(240)], history, past, LEVELS, Prior(np.empty((0, 1)))
    )

    assert made.names == ("last value", "mean of 240 min")
    assert np.all(made.weights[1] > 0.9)
    np.testing.assert_allclose(made.weights.sum(axis=0), 1.0)


def test_quantiles_now_rise_and_are_no_roots_of_anything_negative() -> None:
    history = History(np.abs(np.random.default_rng(0).normal(0, 1, 900)), 600.0, 144)
    past = Past.of(history, first=1, last=6)
    now = combine([LastValue()], history, past, LEVELS, Prior(np.empty((0, 1)))).now

    assert np.all(now >= 0)
    assert np.all(np.diff(now, axis=1) >= 0)


def test_without_a_model_that_can_fit_there_is_an_error() -> None:
    history = History(np.ones(10), 600.0, 144)
    past = Past.of(history, first=1, last=3)

    with pytest.raises(ValueError, match="expected a model"):
        combine([Autoregression()], history, past, LEVELS, Prior(np.empty((0, 1))))
