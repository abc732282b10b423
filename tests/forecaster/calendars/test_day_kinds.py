from datetime import date

import numpy as np

from forecaster.calendars.calendar import Calendar, Holiday
from forecaster.calendars.day_kinds import DAY, DayKind, as_date, days, kind

CHRISTMAS = date(2026, 12, 25)
CALENDAR = Calendar((Holiday(CHRISTMAS),))
FIRST = (CHRISTMAS - date(1970, 1, 1)).days


def test_days_are_of_a_kind():
    assert [kind(FIRST + after, CALENDAR) for after in (-1, 0, 1, 2)] == [
        DayKind.WORKDAY,
        DayKind.HOLIDAY,
        DayKind.WEEKEND,
        DayKind.WEEKEND,
    ]


def test_the_step_that_ends_at_midnight_is_of_the_day_before():
    assert days(np.array([FIRST * DAY]), 60.0).tolist() == [FIRST - 1]
    assert as_date(FIRST) == CHRISTMAS
