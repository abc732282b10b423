"""Moments as people read them: in their time zone, or from the start where there is no date."""

from datetime import datetime
from zoneinfo import ZoneInfo

from forecaster.cli.durations import spoken
from forecaster.plot.axis import DATED

_MINUTE = 60


def moment(seconds: float, zone: ZoneInfo) -> str:
    """Return date and time of day; what counts from the start of a trace is said as that."""
    if seconds < DATED:
        return f"{spoken(seconds)} from the start"
    return datetime.fromtimestamp(seconds, tz=zone).strftime("%Y-%m-%d %H:%M %Z")


def clock(seconds: float, zone: ZoneInfo) -> str | None:
    """Return the time of day, with seconds where they matter; None where there is no date."""
    if seconds < DATED:
        return None
    local = datetime.fromtimestamp(seconds, tz=zone)
    return local.strftime("%a %H:%M:%S" if seconds % _MINUTE else "%a %H:%M")


def stamp(seconds: float, zone: ZoneInfo) -> str | None:
    """Return the moment for machines, ISO 8601; None where there is no date."""
    return None if seconds < DATED else datetime.fromtimestamp(seconds, tz=zone).isoformat()
