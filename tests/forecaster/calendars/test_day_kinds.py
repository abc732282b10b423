from datetime import date

import numpy as np

from forecaster.calendars.calendar import Calendar, Holiday
from forecaster.calendars.day_kinds import DAY, DayKind, as_date, day_kinds, days, weekday

CHRISTMAS = date(2026, 12, 25)
CALENDAR = Calendar((Holiday(CHRISTMAS),))
FIRST = (CHRISTMAS - date(1970, 1, 1)).days


def test_days_are_of_a_kind():
    ends = FIRST * DAY + np.arange(-23, 73) * 3600.0

    assert day_kinds(ends, 3600.0, CALENDAR) == {
        date(2026, 12, 24): DayKind.WORKDAY,
        CHRISTMAS: DayKind.HOLIDAY,
        date(2026, 12, 26): DayKind.WEEKEND,
        date(2026, 12, 27): DayKind.WEEKEND,
    }


def test_the_step_that_ends_at_midnight_is_of_the_day_before():
    assert days(np.array([FIRST * DAY]), 60.0).tolist() == [FIRST - 1]
    assert as_date(FIRST) == CHRISTMAS


def test_a_holiday_behaves_as_the_day_that_it_is_like():
    assert weekday(FIRST, CALENDAR) == 6
    assert weekday(FIRST, Calendar()) == 4
