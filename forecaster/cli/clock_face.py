"""Moments on a clock: in a time zone, and none where there is no date."""

from datetime import datetime
from zoneinfo import ZoneInfo

from forecaster.moments import DATED

_MINUTE = 60


def clock(seconds: float, zone: ZoneInfo) -> str | None:
    """Return the time of day, with seconds where they matter; None where there is no date."""
    if seconds < DATED:
        return None
    local = datetime.fromtimestamp(seconds, tz=zone)
    return local.strftime("%a %H:%M:%S" if seconds % _MINUTE else "%a %H:%M")


def stamp(seconds: float, zone: ZoneInfo) -> str | None:
    """Return the moment for machines, ISO 8601; None where there is no date."""
    return None if seconds < DATED else datetime.fromtimestamp(seconds, tz=zone).isoformat()
