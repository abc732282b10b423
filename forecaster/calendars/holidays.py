"""Holidays: what the day that one is like makes of its hours, against the day it would be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecaster.calendars.calendar import Calendar, Floats
from forecaster.calendars.day_kinds import DAY, DayKind, as_date, days, kind
from forecaster.condition.usual import quantiles, smooth
from forecaster.demand.demand import Demand

Indices = NDArray[np.int64]

_SATURDAY, _SUNDAY = 5, 6
_FLOOR = 0.05  # of the mean: below it, differences say nothing
_BOUNDS = (0.05, 20.0)  # of what is believed of one hour over another


@dataclass(frozen=True, slots=True)
class DayShapes:
    """The usual course of workdays, Saturdays and Sundays: steps of a day, NaN where not known."""

    step: float
    workday: Floats
    saturday: Floats
    sunday: Floats

    @classmethod
    def of(cls, demand: Demand, calendar: Calendar) -> "DayShapes":
        """Return the shapes of a demand on local slots, medians over its ordinary days."""
        step = demand.step
        ends = demand.window.times
        season = max(1, round(DAY / step))
        day = days(ends, step)
        table = np.full((int(day[-1] - day[0]) + 1, season), np.nan)
        table[day - day[0], _slots(ends, step)] = smooth(demand.telling, max(1, season // 48))
        ordinary = {
            row: as_date(int(day[0]) + row).weekday()
            for row in range(table.shape[0])
            if kind(int(day[0]) + row, calendar) is not DayKind.HOLIDAY
        }

        def shape(first: int, last: int) -> Floats:
            rows = [row for row, weekday in ordinary.items() if first <= weekday <= last]
            return quantiles(table[rows], 0.5) if rows else np.full(season, np.nan)

        return cls(step, shape(0, 4), shape(_SATURDAY, _SATURDAY), shape(_SUNDAY, _SUNDAY))

    def like(self, weekday: int) -> Floats:
        """Return the shape of a day of the week; of the other weekend day where it lacks."""
        if weekday < _SATURDAY:
            return self.workday
        own, other = self.saturday, self.sunday
        if weekday == _SUNDAY:
            own, other = other, own
        return own if np.isfinite(own).any() else other

    def over(self, weekday: int, usual: int) -> Floats:
        """Return what one day of the week is over another at each time of day; 1 if unknown."""
        shape, base = self.like(weekday), self.like(usual)
        known = np.isfinite(shape) & (base > 0)
        ratio = np.where(known, shape, 1.0) / np.where(known, base, 1.0)
        return np.clip(ratio, *_BOUNDS)

    def distance(self, weekday: int, slots: Indices, rates: Floats) -> float:
        """Return the mean logarithm by which rates are off a day of the week; 0 if unknown."""
        shape = self.like(weekday)[slots]
        known = np.isfinite(shape)
        if not known.any():
            return 0.0
        floor = _FLOOR * float(shape[known].mean()) + 1e-9
        return float(np.abs(np.log((rates[known] + floor) / (shape[known] + floor))).mean())


def holiday_factors(
    ends: Floats, shapes: DayShapes, calendar: Calendar, *, expected: Floats | None = None
) -> Floats:
    """Return what holidays make of steps, given by their ends on the wall clock.

    The day that one is like, over its own day of the week. Models that know no week expect a
    Monday to go on as Sunday did: where `expected`, the rate forecast for each step, is nearer
    to the day before, it is held against that one.
    """
    factors = np.ones(ends.size)
    day = days(ends, shapes.step)
    for one in np.unique(day):
        holiday = calendar.holiday(as_date(int(one)))
        if holiday is None:
            continue
        steps = day == one
        slots = _slots(ends[steps], shapes.step)
        usual = as_date(int(one)).weekday()
        if expected is not None:
            choices = (usual, (usual - 1) % 7)
            usual = min(choices, key=lambda day: shapes.distance(day, slots, expected[steps]))
        factors[steps] = shapes.over(holiday.weekday, usual)[slots]
    return factors


def _slots(ends: Floats, step: float) -> Indices:
    season = max(1, round(DAY / step))
    return np.minimum(((ends - step / 2) % DAY / step).astype(np.int64), season - 1)
