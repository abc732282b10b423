import numpy as np
import pytest

from forecaster.condition.runs import Run
from forecaster.condition.stuck import stuck


def moving(size: int = 600) -> np.ndarray:
    return np.random.default_rng(0).normal(100.0, 10.0, size)


@pytest.mark.parametrize(("size", "found"), [(5, False), (6, True), (60, True)])
def test_a_value_again_and_again_is_found_from_six_on(size, found):
    values = moving()
    values[300 : 300 + size] = values[300]

    assert ([Run(300, 300 + size)] if found else []) == stuck(values)


def test_a_series_that_never_moves_is_not_stuck():
    assert stuck(np.full(500, 7.0)) == []


def test_a_constant_series_with_a_bump_is_not_stuck():
    values = np.full(500, 7.0)
    values[200:210] = moving(10)

    assert stuck(values) == []


def test_zeros_are_not_stuck():
    values = moving()
    values[300:400] = 0.0

    assert stuck(values) == []


@pytest.mark.parametrize("seed", range(5))
def test_small_counts_that_repeat_by_chance_are_not_stuck(seed):
    assert stuck(np.random.default_rng(seed).poisson(0.7, 20_000) / 60.0) == []
