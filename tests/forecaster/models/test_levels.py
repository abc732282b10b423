"""Levels, expected to stay."""

import numpy as np
import pytest

from forecaster.history import History
from forecaster.models.exponential import ExponentialSmoothing
from forecaster.models.levels import LastValue, MovingAverage

HISTORY = History(np.array([1.0, 2.0, np.nan, 6.0]), 300.0, 288)
ALL, AHEAD = np.arange(4), np.array([1, 5])


def test_the_last_value_known_stays() -> None:
    paths = LastValue().fit(HISTORY).paths(ALL, AHEAD)

    np.testing.assert_array_equal(paths[..., 0], [[1, 1], [2, 2], [2, 2], [6, 6]])


def test_the_mean_of_the_last_minutes_stays() -> None:
    paths = MovingAverage(10).fit(HISTORY).paths(ALL, AHEAD)

    np.testing.assert_array_equal(paths[:, 0, 0], [1, 1.5, 2, 6])


@pytest.mark.parametrize(
    ("minutes", "can"),
    [pytest.param(5, False, id="one step"), pytest.param(20, True, id="all of it"),
     pytest.param(40, True, id="half of it known"),
     pytest.param(45, False, id="less than half")],
)  # fmt: skip
def test_a_mean_is_of_several_steps_that_there_are(minutes: float, can: bool) -> None:  # noqa: FBT001
    assert MovingAverage(minutes).can_fit(HISTORY) is can


def test_a_mean_is_named_by_its_minutes() -> None:
    assert MovingAverage(15).name == "mean of 15 min"


def test_smoothing_forgets_fast_where_levels_move_and_slowly_in_noise() -> None:
    rng = np.random.default_rng(0)
    walk = History(np.cumsum(rng.normal(size=1000)) + 100, 60.0, 1440)
    noise = History(rng.normal(size=1000) + 100, 60.0, 1440)

    def roughness(history: History) -> float:
        level = ExponentialSmoothing().fit(history).level
        return float(np.diff(level).std() / np.diff(history.values).std())

    assert roughness(walk) > 4 * roughness(noise)
