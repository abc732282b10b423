"""Scenarios: paths that belong together, and the chance that several steps stay low at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.scenarios import Scenarios, joint

TOGETHER = np.array([[0, 0], [1, 1], [2, 2], [3, 3]])
OPPOSED = np.array([[0, 3], [1, 2], [2, 1], [3, 0]])


def test_lengths_must_have_the_shape_of_the_rate() -> None:
    with pytest.raises(ValueError, match=r"expected lengths of shape \(2, 3\), got \(3, 2\)"):
        Scenarios(np.ones((2, 3)), np.ones((3, 2)))


@pytest.mark.parametrize("shape", [(3,), (0, 3), (3, 0)], ids=["one path", "no path", "no step"])
def test_rates_must_be_paths_by_steps(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="paths x steps"):
        Scenarios(np.ones(shape))


def test_ranks_count_the_paths_below() -> None:
    scenarios = Scenarios(np.array([[5.0, 1.0], [2.0, 3.0], [9.0, 2.0]]))

    np.testing.assert_array_equal(scenarios.ranks, [[1, 0], [0, 2], [2, 1]])


def test_chosen_paths_keep_their_lengths_and_rows() -> None:
    rate = np.arange(6.0).reshape(3, 2)
    scenarios = Scenarios(rate, rate + 10.0, rate + 20.0, np.array([-3, -2, -1]))

    chosen = scenarios.chosen(np.array([2, 0]))

    np.testing.assert_array_equal(chosen.rate, rate[[2, 0]])
    np.testing.assert_array_equal(chosen.input_tokens, rate[[2, 0]] + 10.0)
    np.testing.assert_array_equal(chosen.output_tokens, rate[[2, 0]] + 20.0)
    np.testing.assert_array_equal(chosen.rows, [-1, -3])


@pytest.mark.parametrize(
    ("count", "picked"),
    [
        pytest.param(3, [0, 2, 4], id="evenly"),
        pytest.param(1, [0], id="one"),
        pytest.param(9, [0, 1, 2, 3, 4], id="all there are"),
    ],
)
def test_few_of_the_paths_are_spread_over_all(count: int, picked: list[int]) -> None:
    rate = np.arange(10.0).reshape(5, 2)

    np.testing.assert_array_equal(Scenarios(rate).thinned(count).rate, rate[picked])


@pytest.mark.parametrize(
    ("ranks", "chances", "expected"),
    [
        pytest.param(TOGETHER, [0.5, 0.5], 0.5, id="high together"),
        pytest.param(OPPOSED, [0.5, 0.5], 0.0, id="never low together"),
        pytest.param(OPPOSED, [0.75, 0.75], 0.5, id="one high at a time"),
        pytest.param(TOGETHER, [1.0, 0.75], 0.75, id="one step certain"),
        pytest.param(TOGETHER, [0.875, 0.875], 0.8125, id="independent within the last path"),
        pytest.param(OPPOSED, [0.99, 0.98], 0.97, id="risks add where no path is high twice"),
    ],
)
def test_chance_that_all_steps_stay_low(
    ranks: np.ndarray, chances: list[float], expected: float
) -> None:
    assert joint(ranks, np.array(chances)[:, None])[0] == pytest.approx(expected)


@given(
    seed=st.integers(0, 2**32 - 1),
    paths=st.integers(1, 40),
    chances=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6),
)
def test_joint_chance_lies_between_its_bounds(seed: int, paths: int, chances: list[float]) -> None:
    generator = np.random.default_rng(seed)
    ranks = np.stack([generator.permutation(paths) for _ in chances], axis=1)

    chance = joint(ranks, np.array(chances)[:, None])[0]

    assert chance <= min(chances) + 1e-9
    assert chance >= 1.0 - sum(1.0 - one for one in chances) - 1e-9
