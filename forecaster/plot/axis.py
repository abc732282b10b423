"""The time axis of a picture: local time where the demand has a date, else time from its start."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from forecaster.moments import DATED

Floats = NDArray[np.float64]

_DAY = 86_400.0
_MINUTES = 600.0
_NEW_YEAR = datetime(2001, 1, 1, tzinfo=UTC).timestamp()  # so that the day of the year is the day


@dataclass(frozen=True, slots=True)
class Axis:
    """Where moments stand on a picture, and how they are called there."""

    label: str
    shift: float  # seconds that are added, the same all along
    ticks: str | None = None  # how a tick is written, as strftime has it; None: as dates are

    def at(self, times: Floats) -> list[datetime]:
        """Return the places of moments that are given in seconds since the epoch."""
        return [
            datetime.fromtimestamp(float(moment) + self.shift, tz=UTC).replace(tzinfo=None)
            for moment in times
        ]


def axis_of(start: float, origin: float, zone: ZoneInfo) -> Axis:
    """Return the axis of demand from `start` to `origin`.

    Its offset from UTC is the one that holds at the origin: an axis whose clock is changed would
    show an hour twice.
    """
    if origin < DATED:
        return _from_the_start(start, origin)
    offset = datetime.fromtimestamp(origin, tz=zone).utcoffset() or timedelta()
    name = str(timezone(offset))
    called = name if zone.key == name else f"{zone.key} ({name})"
    return Axis(f"time, {called}", offset.total_seconds())


def _from_the_start(start: float, origin: float) -> Axis:
    shift = _NEW_YEAR - start
    if origin - start > _DAY:
        return Axis("time, day 1 is the first", shift, "day %-j\n%H:%M")
    if origin - start > _MINUTES:
        return Axis("hours and minutes from the start", shift, "%H:%M")
    return Axis("minutes and seconds from the start", shift, "%M:%S")
