"""Kinds of days: which local days of a history are workdays, weekends and holidays."""

from datetime import date
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from forecaster.calendars.calendar import Calendar

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

DAY = 86400.0
_EPOCH = date(1970, 1, 1).toordinal()
_SATURDAY = 5


class DayKind(StrEnum):
    """What sort of day it is, for those who ask for answers."""

    WORKDAY = "workday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


def days(ends: Floats, step: float) -> Indices:
    """Return the day of each step, given by its end in wall-clock seconds: days since 1970."""
    return np.floor((ends - step / 2) / DAY).astype(np.int64)


def as_date(day: int) -> date:
    """Return the date of a day since 1970."""
    return date.fromordinal(_EPOCH + day)


def kind(day: int, calendar: Calendar) -> DayKind:
    """Return what sort of day a day since 1970 is."""
    if calendar.holiday(as_date(day)) is not None:
        return DayKind.HOLIDAY
    return DayKind.WEEKEND if as_date(day).weekday() >= _SATURDAY else DayKind.WORKDAY
