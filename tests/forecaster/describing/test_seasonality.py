import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.describing.seasonality import seasonality
from telemetry.series import Series, Window

STEP = 1800.0
DAY = 48


def demand(roots: np.ndarray, *, ignored: np.ndarray | None = None) -> Demand:
    window = Window(STEP, STEP * roots.size, STEP)
    return Demand("m", Series({}, window, np.maximum(roots, 0.0) ** 2), ignored=ignored)


def noise(days: int, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0, spread, days * DAY)


def shape(days: int, size: float) -> np.ndarray:
    return 20 + size * np.sin(2 * np.pi * np.arange(days * DAY) / DAY)


def weekends(days: int, size: float) -> np.ndarray:
    return np.where(np.arange(days * DAY) // DAY % 7 >= 5, -size, 0.0)


@pytest.mark.parametrize(
    ("size", "share"),
    [
        pytest.param(0.0, 0.0, id="no shape"),
        pytest.param(2**0.5, 0.5, id="a shape as large as the noise"),
        pytest.param(20.0, 0.99, id="a shape far above the noise"),
    ],
)
def test_the_daily_share_is_that_of_the_shape(size: float, share: float) -> None:
    found = seasonality(demand(shape(14, size) + noise(14)))

    assert found.daily == pytest.approx(share, abs=0.05)
    assert found.weekly == pytest.approx(0, abs=0.1)


def test_the_weekly_share_is_what_the_day_leaves() -> None:
    found = seasonality(demand(shape(28, 3.0) + weekends(28, 4.0) + noise(28)))

    assert found.weekly == pytest.approx(3.27 / 4.27, abs=0.05)  # 16 x 5/7 x 2/7 beside noise of 1


def test_what_happened_once_does_not_come_again() -> None:
    once = noise(10)
    once[200:210] += 1000

    assert seasonality(demand(20 + once)).daily == pytest.approx(0, abs=0.05)


def test_what_is_ignored_does_not_count() -> None:
    roots = shape(10, 5.0) + noise(10, 0.1)
    roots[100:150] = 0.0
    down = np.zeros(roots.size, bool)
    down[100:150] = True

    assert seasonality(demand(roots, ignored=down)).daily > 0.98 > seasonality(demand(roots)).daily


def test_gaps_are_left_out() -> None:
    roots = shape(10, 5.0) + noise(10, 0.1)
    roots[np.random.default_rng(1).random(roots.size) < 0.2] = np.nan

    assert seasonality(demand(roots)).daily > 0.98


def test_too_short_a_demand_cannot_be_told() -> None:
    assert np.isnan(seasonality(demand(shape(2, 5.0))).daily)
    assert not np.isnan(seasonality(demand(shape(3, 5.0))).daily)
    assert np.isnan(seasonality(demand(shape(13, 5.0))).weekly)
    assert np.isnan(seasonality(demand(np.full(14 * DAY, np.nan))).daily)
    assert np.isnan(seasonality(demand(np.full(14 * DAY, 4.0))).daily)


def test_steps_of_a_minute_are_gathered_in_half_hours() -> None:
    minutes = 20 + 5 * np.sin(2 * np.pi * np.arange(5 * 1440) / 1440)
    noisy = minutes + np.random.default_rng(0).normal(0, 5, minutes.size)
    window = Window(60.0, 60.0 * noisy.size, 60.0)

    assert seasonality(Demand("m", Series({}, window, np.maximum(noisy, 0) ** 2))).daily > 0.9
