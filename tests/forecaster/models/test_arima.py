import numpy as np
import pytest

from forecaster.history import Floats, History
from forecaster.models.arima import Arima, FittedArima, Grid

SEASON = 576  # steps of two and a half minutes: blocks are of two
SIZE = 3 * SEASON
HORIZONS = np.arange(1, 21)


def history_of(values: Floats) -> History:
    return History(values, step=150.0, season=SEASON, end=150.0 * (500 + values.size))


def waves(size: int) -> Floats:
    noise = np.random.default_rng(1).normal(0, 0.2, size)
    return 10.0 + 2.0 * np.sin(2 * np.pi * np.arange(size) / SEASON) + noise


@pytest.fixture(scope="module")
def fitted() -> FittedArima:
    return Arima().fit(history_of(waves(SIZE)))


def test_the_waves_of_the_day_go_on(fitted: FittedArima) -> None:
    expected = 10.0 + 2.0 * np.sin(2 * np.pi * (SIZE - 1 + HORIZONS) / SEASON)

    told = fitted.paths(np.array([SIZE - 1]), HORIZONS)[0, :, 0]

    np.testing.assert_allclose(told, expected, atol=0.6)


@pytest.mark.parametrize("origin", range(SIZE - 4, SIZE))
def test_an_origin_is_answered_as_if_nothing_had_come_after_it(
    fitted: FittedArima, origin: int
) -> None:
    values = waves(SIZE)[: origin + 1]
    earlier = History(values, step=150.0, season=SEASON, end=150.0 * (500 + values.size))

    then = fitted.at(earlier).paths(np.array([origin]), HORIZONS)

    np.testing.assert_allclose(fitted.paths(np.array([origin]), HORIZONS), then, rtol=1e-9)


def test_the_answer_at_an_instant_does_not_depend_on_where_the_history_begins(
    fitted: FittedArima,
) -> None:
    values = waves(SIZE)
    shorter = History(values[97:], step=150.0, season=SEASON, end=150.0 * (500 + SIZE))

    told = fitted.at(shorter).paths(np.array([SIZE - 1 - 97]), HORIZONS)

    np.testing.assert_allclose(told, fitted.paths(np.array([SIZE - 1]), HORIZONS), rtol=1e-3)


def test_before_the_first_block_the_value_stays(fitted: FittedArima) -> None:
    told = fitted.paths(np.array([0]), HORIZONS)[0, :, 0]

    np.testing.assert_array_equal(told, np.full(HORIZONS.size, waves(SIZE)[0]))


def test_a_block_is_the_mean_of_what_is_known_in_it() -> None:
    grid = Grid(history_of(np.array([1.0, np.nan, 3.0, np.nan, np.nan, 6.0])), 2, 1)

    assert grid.ends(5).tolist() == [1, 3, 5]
    assert grid.means[grid.ends(5)].tolist() == [1.0, 3.0, 6.0]
    assert grid.ends(4).tolist() == [2, 4]
    assert np.isnan(grid.means[4])


def test_too_little_is_declined() -> None:
    assert not Arima().can_fit(history_of(waves(2 * SEASON - 1)))
    assert Arima().can_fit(history_of(waves(2 * SEASON)))
