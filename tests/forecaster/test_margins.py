"""Margins: rates at any probability, and probabilities of any rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.margins import Margins

LEVELS = (0.1, 0.5, 0.9, 0.99)
PROBABILITIES = np.linspace(0.001, 0.9999, 200)


@given(
    st.lists(
        st.lists(st.floats(0.0, 1e6), min_size=4, max_size=4).map(sorted), min_size=1, max_size=5
    )
)
def test_rates_never_fall_with_probability_nor_below_zero(rows: list[list[float]]) -> None:
    rates = Margins.through(LEVELS, np.array(rows)).at(PROBABILITIES)

    assert (np.diff(rates, axis=1) >= 0.0).all()
    assert (rates >= 0.0).all()


def test_given_quantiles_come_back() -> None:
    values = np.array([[1.0, 2.0, 5.0, 9.0]])

    np.testing.assert_allclose(Margins.through(LEVELS, values).at(np.array(LEVELS)), values)


def test_a_quantile_that_falls_is_raised_to_the_one_before() -> None:
    margins = Margins.through(LEVELS, np.array([[1.0, 3.0, 2.0, 4.0]]))

    np.testing.assert_allclose(margins.at(np.array(LEVELS)), [[1.0, 3.0, 3.0, 4.0]])


def test_twice_as_rare_is_as_much_further_again() -> None:
    margins = Margins.through((0.5, 0.9, 0.95), np.array([[1.0, 4.0, 6.0]]))

    np.testing.assert_allclose(margins.at(np.array([0.975, 0.9875])), [[8.0, 10.0]])


def test_the_lower_tail_ends_at_zero() -> None:
    margins = Margins.through((0.1, 0.2, 0.5), np.array([[1.0, 3.0, 6.0]]))

    np.testing.assert_allclose(margins.at(np.array([0.05, 0.01])), [[0.0, 0.0]])


def test_one_quantile_alone_tells_no_spread() -> None:
    margins = Margins.through((0.5,), np.array([[3.0]]))

    np.testing.assert_allclose(margins.at(np.array([0.001, 0.5, 0.999])), [[3.0, 3.0, 3.0]])


@pytest.mark.parametrize("probability", [0.05, 0.1, 0.3, 0.5, 0.95, 0.995, 0.9999])
def test_probability_of_a_rate_undoes_the_rate_at_a_probability(probability: float) -> None:
    margins = Margins.through(LEVELS, np.array([[10.0, 20.0, 50.0, 90.0]]))

    rate = margins.at(np.array([probability]))

    np.testing.assert_allclose(margins.below(rate[0]), [[probability]], rtol=1e-9)


@pytest.mark.parametrize(
    ("rate", "chance"),
    [
        pytest.param(-1.0, 0.0, id="below all"),
        pytest.param(0.0, 0.5, id="as high as half of all demand"),
        pytest.param(2.0, 0.7, id="between"),
        pytest.param(1e9, 1.0, id="above all"),
    ],
)
def test_a_rate_that_is_likely_as_such_counts_whole(rate: float, chance: float) -> None:
    margins = Margins.through(LEVELS, np.array([[0.0, 0.0, 4.0, 8.0]]))

    np.testing.assert_allclose(margins.below(np.array([rate])), [[chance]])
