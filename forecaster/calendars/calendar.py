"""The calendar: days that are unlike their weekday, and events that change demand for a while."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from forecaster.demand.demand import DemandError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class CalendarError(DemandError):
    """A calendar cannot be read: names the entry, what was expected and what was seen."""


@dataclass(frozen=True, slots=True)
class Holiday:
    """A local day on which demand is like that of another day of the week."""

    day: date
    name: str = "holiday"
    like: str = "sunday"

    def __post_init__(self) -> None:
        if self.like not in WEEKDAYS:
            raise CalendarError(
                f"holiday {self.name!r} on {self.day}: expected like to be one of "
                f"{', '.join(WEEKDAYS)}, got {self.like!r}"
            )

    @property
    def weekday(self) -> int:
        """The day of the week that it is like: 0 is Monday."""
        return WEEKDAYS.index(self.like)


@dataclass(frozen=True, slots=True)
class Event:
    """A time during which demand is a multiple of what is usual."""

    name: str
    start: float  # seconds since the epoch
    end: float
    factor: float | None = None  # expected over usual; None learns it from earlier ones

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise CalendarError(
                f"event {self.name!r}: expected an end after its start, got {self.start:.0f} "
                f"and {self.end:.0f} (seconds since 1970)"
            )
        if self.factor is not None and not 0 < self.factor < np.inf:
            raise CalendarError(
                f"event {self.name!r}: expected a factor above 0, got {self.factor}"
            )

    def during(self, ends: Floats, step: float) -> Mask:
        """Tell which steps, given by their ends, have their middle within the event."""
        middles = ends - step / 2
        return np.asarray((middles >= self.start) & (middles < self.end))


@dataclass(frozen=True, slots=True)
class Calendar:
    """The holidays and the events that are known of."""

    holidays: tuple[Holiday, ...] = ()
    events: tuple[Event, ...] = ()

    def holiday(self, day: date) -> Holiday | None:
        """Return the holiday on this local day; None on an ordinary one."""
        return next((one for one in self.holidays if one.day == day), None)
