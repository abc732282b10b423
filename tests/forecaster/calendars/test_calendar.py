from datetime import date

import numpy as np
import pytest

from forecaster.calendars.calendar import Calendar, CalendarError, Event, Holiday
from forecaster.demand.demand import DemandError


def test_a_holiday_is_like_a_sunday_unless_it_says_otherwise():
    assert Holiday(date(2026, 12, 25)).weekday == 6
    assert Holiday(date(2026, 12, 24), like="saturday").weekday == 5


def test_a_day_is_looked_up_by_its_date():
    christmas = Holiday(date(2026, 12, 25))
    calendar = Calendar((christmas,))

    assert calendar.holiday(date(2026, 12, 25)) is christmas
    assert calendar.holiday(date(2026, 12, 26)) is None


def test_a_step_belongs_to_an_event_by_its_middle():
    event = Event("launch", 90.0, 180.0)

    during = event.during(np.array([60.0, 120.0, 180.0, 240.0]), 60.0)

    assert during.tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("make", "names"),
    [
        pytest.param(lambda: Holiday(date(2026, 12, 25), "Christmas", "sun"), "Christmas"),
        pytest.param(lambda: Event("launch", 5.0, 5.0), "launch"),
        pytest.param(lambda: Event("launch", 5.0, 6.0, 0.0), "launch"),
        pytest.param(lambda: Event("launch", 5.0, 6.0, float("nan")), "launch"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, names):
    with pytest.raises(CalendarError, match=names):
        make()

    assert issubclass(CalendarError, DemandError)
