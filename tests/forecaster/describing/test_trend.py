import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.describing.trend import Trend, trend
from telemetry.series import Series, Window

HOUR = 3600.0


def of_days(means: np.ndarray | list[float]) -> Trend | None:
    rates = np.repeat(np.array(means, float), 24)
    window = Window(HOUR, HOUR * rates.size, HOUR)
    return trend(Demand("m", Series({}, window, rates)))


def test_a_steady_rise_is_sure_and_has_its_slope() -> None:
    found = of_days(100 + np.arange(28.0))

    assert found.per_week == pytest.approx(7 / 113.5)
    assert found.is_sure


def test_noise_is_no_trend() -> None:
    found = of_days(100 + np.random.default_rng(0).normal(0, 10, 28))

    assert not found.is_sure
    assert abs(found.per_week) < 0.05


def test_the_shape_of_a_week_is_no_trend() -> None:
    week = [100, 110, 120, 130, 140, 20, 10]

    found = of_days(week * 3)

    assert (found.per_week, found.chance) == (0, 1)


@pytest.mark.parametrize("days", [4, 5])
def test_less_than_five_days_have_no_trend(days: int) -> None:
    assert (of_days(np.arange(1.0, days + 1)) is None) == (days < 5)


def test_two_weeks_are_not_enough_to_be_sure() -> None:
    assert not of_days(100 + np.arange(14.0)).is_sure


def test_unknown_days_are_left_out() -> None:
    means = 100 + np.arange(28.0)
    means[3:8] = np.nan

    found = of_days(means)

    assert found.days == 23
    assert found.per_week == pytest.approx(7 / np.nanmean(means))


def test_no_demand_has_no_trend() -> None:
    assert of_days([0.0] * 20) is None
    assert of_days([np.nan] * 20) is None
