import numpy as np
import pytest

from forecaster.history import Floats, History
from forecaster.models.features import Features

pytest.importorskip("sklearn", reason="boosting is an extra")
threadpoolctl = pytest.importorskip("threadpoolctl", reason="boosting is an extra")

from forecaster.models.boosting import BoostedQuantiles, FittedForests, one_thread  # noqa: E402

SEASON, SIZE = 96, 8 * 96
MODEL = BoostedQuantiles(quantiles=(0.1, 0.5, 0.9), trees=15)
HORIZONS = np.array([1, 2, 4])


def history_of(values: Floats, end: float = 0.0) -> History:
    return History(values, step=300.0, season=SEASON, end=300.0 * (1000 + values.size) + end)


def noise(size: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(10.0, 1.0, size)


@pytest.fixture(scope="module")
def fitted() -> FittedForests:
    return MODEL.fit(history_of(noise(SIZE)))


def test_a_past_origin_is_judged_no_better_than_one_to_come(fitted: FittedForests) -> None:
    def mean_error(values: Floats, origins: np.ndarray) -> float:
        history = history_of(values)
        told = fitted.at(history).paths(origins, HORIZONS)[..., 1]
        return float(np.abs(told - history.after(origins, HORIZONS)).mean())

    later = np.concatenate([noise(SIZE), noise(SIZE, seed=2)])
    past = mean_error(noise(SIZE), np.arange(2 * SEASON, SIZE - 4))
    to_come = mean_error(later, np.arange(SIZE, 2 * SIZE - 4))

    assert past == pytest.approx(to_come, rel=0.2)  # by heart it would be half of that
    assert past > 0.7


def test_its_quantiles_hold_about_as_much_as_they_say(fitted: FittedForests) -> None:
    later = history_of(np.concatenate([noise(SIZE), noise(SIZE, seed=3)]))
    origins = np.arange(SIZE, 2 * SIZE - 4)
    actual = later.after(origins, HORIZONS)[..., None]

    held = (actual <= fitted.at(later).paths(origins, HORIZONS)).mean(axis=(0, 1))

    np.testing.assert_allclose(held, [0.1, 0.5, 0.9], atol=0.12)


def test_days_that_both_forests_know_not_are_answered_by_both(fitted: FittedForests) -> None:
    later = history_of(np.concatenate([noise(SIZE), noise(SEASON, seed=4)]))
    origins = np.array([SIZE + SEASON - 10])
    asked = fitted.at(later)
    alone = FittedForests(later, fitted.even, fitted.even, fitted.last, fitted.levels)
    other = FittedForests(later, fitted.odd, fitted.odd, fitted.last, fitted.levels)

    mean = (alone.paths(origins, HORIZONS) + other.paths(origins, HORIZONS)) / 2.0

    np.testing.assert_allclose(asked.paths(origins, HORIZONS), mean)


def test_the_same_seed_grows_the_same_trees(fitted: FittedForests) -> None:
    again = MODEL.fit(history_of(noise(SIZE)))
    origins = np.array([SIZE - 1])

    np.testing.assert_array_equal(again.paths(origins, HORIZONS), fitted.paths(origins, HORIZONS))


def test_half_the_days_without_values_are_too_few() -> None:
    values = noise(SIZE)
    values[(history_days(values) % 2) == 0] = np.nan

    assert MODEL.can_fit(history_of(noise(SIZE)))
    assert not MODEL.can_fit(history_of(noise(2 * SEASON)))
    assert not MODEL.can_fit(history_of(values))


def history_days(values: Floats) -> np.ndarray:
    return Features(history_of(np.ones(values.size)), 1).day(np.arange(values.size))


def test_trees_take_one_thread() -> None:
    with one_thread():
        threads = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]

    assert set(threads) <= {1}
