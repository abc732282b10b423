"""Quantiles from past errors, and how they are kept honest."""

import numpy as np
import pytest

from forecaster.combination.asking import Past
from forecaster.combination.conformal import Prior, spread, track

LEVELS = np.array([0.1, 0.5, 0.9, 0.99])
NO_PRIOR = Prior(np.empty((0, 1)))


def past_of(actual: np.ndarray) -> Past:
    actual = np.append(actual, np.nan)  # the present
    origins = np.arange(actual.size)
    return Past(origins, np.array([1]), actual[:, None], np.ones(actual.size))


def spread_around_zero(past: Past, scale: np.ndarray, prior: Prior = NO_PRIOR) -> np.ndarray:
    centre = np.zeros((past.count, 1, 1))
    return spread(past, centre, np.stack([scale[:, None]] * 2), LEVELS, prior)


def test_quantiles_are_those_of_past_errors() -> None:
    errors = np.random.default_rng(0).exponential(size=4000)
    quantiles = spread_around_zero(past_of(errors), np.ones(4001))

    np.testing.assert_allclose(quantiles[-1, 0], np.quantile(errors, LEVELS), rtol=0.05)


def test_quantiles_widen_where_demand_is_restless() -> None:
    rng = np.random.default_rng(0)
    scale = np.where(np.arange(4001) % 2, 1.0, 5.0)
    quantiles = spread_around_zero(past_of(rng.normal(size=4000) * scale[:-1]), scale)

    calm, restless = quantiles[-2, 0], quantiles[-1, 0]
    assert restless[2] == pytest.approx(5 * calm[2])


def test_the_scale_that_loses_less_counts() -> None:
    rng = np.random.default_rng(0)
    right = np.where(np.arange(4001) % 2, 1.0, 5.0)
    past = past_of(rng.normal(size=4000) * right[:-1])
    kinds = np.stack([right[:, None], np.full((4001, 1), 3.0)])

    found = spread(past, np.zeros((4001, 1, 1)), kinds, LEVELS, NO_PRIOR)

    # A wrong scale fits the tail of both origins to the restless one.
    assert found[-2, 0, 3] < 4.0
    assert found[-1, 0, 3] > 8.0


def test_few_errors_leave_the_tails_wider() -> None:
    rng = np.random.default_rng(0)

    def tail(count: int) -> float:
        past = past_of(rng.normal(size=count))
        return float(spread_around_zero(past, np.ones(count + 1))[-1, 0, 3])

    assert tail(4000) == pytest.approx(2.33, abs=0.2)
    assert np.mean([tail(12) for _ in range(50)]) > 1.2 * 2.33


def test_without_errors_the_least_deviation_is_believed() -> None:
    quantiles = spread_around_zero(past_of(np.empty(0)), np.ones(1), Prior(np.empty((0, 1)), 2.0))

    assert quantiles[-1, 0, 1] == 0.0
    assert quantiles[-1, 0, 3] > 2.0 * 2.33


def test_errors_of_siblings_stand_in_for_missing_ones() -> None:
    siblings = np.random.default_rng(0).normal(size=(400, 1)) * 3.0
    quantiles = spread_around_zero(past_of(np.array([0.1])), np.ones(2), Prior(siblings))

    assert quantiles[-1, 0, 2] == pytest.approx(3 * 1.28, rel=0.25)


@pytest.mark.parametrize(
    ("factor", "moves"),
    [pytest.param(3.0, 1, id="too narrow"), pytest.param(0.3, -1, id="too wide")],
)
def test_decision_quantiles_move_to_where_their_share_is_right(factor: float, moves: int) -> None:
    errors = np.random.default_rng(0).normal(size=700) * factor
    past = past_of(errors)
    said = np.broadcast_to(np.array([-1.28, 0.0, 1.28, 2.33]), (701, 1, 4))

    moved = track(past, said, np.ones((701, 1)), LEVELS)[0]

    assert moved[0] == moved[1] == 0.0
    assert np.sign(moved[2]) == moves
    assert said[0, 0, 2] + moved[2] == pytest.approx(1.28 * factor, abs=0.5 * factor)


def test_what_is_unknown_moves_nothing() -> None:
    said = np.zeros((51, 1, 4))

    assert not track(past_of(np.full(50, np.nan)), said, np.ones((51, 1)), LEVELS).any()
