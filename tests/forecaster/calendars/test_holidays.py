from datetime import date, timedelta

import numpy as np
import pytest

from forecaster.calendars.calendar import Calendar, Holiday
from forecaster.calendars.day_kinds import DAY
from forecaster.calendars.holidays import DayShapes, holiday_factors
from forecaster.demand.demand import Demand
from telemetry.series import Series, Window

STEP = 3600.0
MONDAY = date(2026, 11, 30)
FIRST = (MONDAY - date(1970, 1, 1)).days


def demand(days: int = 14, first: int = FIRST) -> Demand:
    """Ten a second on workdays, six on Saturdays, four on Sundays."""
    levels = np.array([10.0] * 5 + [6.0, 4.0])
    weekday = (np.arange(days) + first - FIRST) % 7
    window = Window(first * DAY + STEP, (first + days) * DAY, STEP)
    return Demand("a", Series({}, window, np.repeat(levels[weekday], 24)))


def noon(day: int) -> np.ndarray:
    return np.array([(FIRST + day) * DAY + 12 * 3600])


@pytest.mark.parametrize(
    ("day", "factor"),
    [
        pytest.param(14, 0.4, id="a Monday"),
        pytest.param(18, 0.4, id="a Friday"),
        pytest.param(19, 4 / 6, id="a Saturday"),
        pytest.param(20, 1.0, id="a Sunday"),
    ],
)
def test_a_holiday_is_a_sunday_over_what_it_would_be(day, factor):
    shapes = DayShapes.of(demand(), Calendar())
    calendar = Calendar((Holiday(MONDAY + timedelta(days=day)),))

    assert holiday_factors(noon(day), shapes, calendar)[0] == pytest.approx(factor)
    assert holiday_factors(noon(day + 1), shapes, calendar)[0] == 1.0


@pytest.mark.parametrize(
    ("expected", "factor"),
    [
        pytest.param(9.0, 0.4, id="expected as a Monday"),
        pytest.param(4.5, 1.0, id="expected as the Sunday before"),
    ],
)
def test_a_monday_is_held_against_what_is_expected_of_it(expected, factor):
    shapes = DayShapes.of(demand(), Calendar())
    calendar = Calendar((Holiday(MONDAY + timedelta(days=14)),))

    factors = holiday_factors(noon(14), shapes, calendar, expected=np.array([expected]))

    assert factors[0] == pytest.approx(factor)


def test_a_holiday_may_be_like_any_day():
    shapes = DayShapes.of(demand(), Calendar())
    calendar = Calendar((Holiday(MONDAY + timedelta(days=16), like="saturday"),))

    assert holiday_factors(noon(16), shapes, calendar)[0] == pytest.approx(0.6)


def test_past_holidays_say_nothing_of_workdays():
    series = demand()
    series.rate.values[: 5 * 24] = 1.0
    past = tuple(Holiday(MONDAY + timedelta(days=day)) for day in range(5))

    shapes = DayShapes.of(series, Calendar(past))

    assert shapes.workday[12] == 10.0


def test_without_a_weekend_known_a_holiday_changes_nothing():
    shapes = DayShapes.of(demand(days=4), Calendar())
    calendar = Calendar((Holiday(MONDAY + timedelta(days=4)),))

    assert holiday_factors(noon(4), shapes, calendar)[0] == 1.0


def test_a_saturday_stands_in_for_a_sunday_that_is_not_known():
    shapes = DayShapes.of(demand(days=6), Calendar())

    assert shapes.over(6, 0)[12] == pytest.approx(0.6)
