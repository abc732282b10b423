"""Calendar files: holidays and events as people write them down, in TOML or as iCalendar."""

import math
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Any

from forecaster.calendars.calendar import Calendar, CalendarError, Event, Holiday
from forecaster.calendars.icalendar import parse_icalendar

_KEYS = {
    "holiday": {"date", "name", "like"},
    "event": {"name", "start", "end", "factor"},
}


def read_calendar(path: Path, *, zone: tzinfo = UTC) -> Calendar:
    """Read a calendar file: iCalendar if it ends in .ics, TOML otherwise.

    Times without an offset are those of `zone`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CalendarError(
            f"cannot read the calendar {path}: {error.strerror or error}"
        ) from error
    except UnicodeDecodeError as error:
        raise CalendarError(f"cannot read the calendar {path}: {error}") from error
    parse = parse_icalendar if path.suffix.lower() == ".ics" else parse_calendar
    try:
        return parse(text, zone=zone)
    except CalendarError as error:
        raise CalendarError(f"{path}: {error}") from error


def parse_calendar(text: str, *, zone: tzinfo = UTC) -> Calendar:
    """Return the calendar that a TOML text says, with its [[holiday]] and [[event]] tables."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CalendarError(f"expected TOML: {error}") from error
    for key, entries in tables.items():
        if key not in _KEYS or not isinstance(entries, list):
            raise CalendarError(f"expected [[holiday]] and [[event]] tables, got {key!r}")
    holidays = [_holiday(*entry) for entry in _entries(tables, "holiday")]
    events = [_event(*entry, zone=zone) for entry in _entries(tables, "event")]
    return Calendar(tuple(holidays), tuple(events))


def _entries(tables: Mapping[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    """Return each entry with the name that errors call it by."""
    found = []
    for number, entry in enumerate(tables.get(key, []), start=1):
        if not isinstance(entry, dict):
            raise CalendarError(f"expected [[{key}]] tables, got {entry!r}")
        title = f" ({entry['name']})" if "name" in entry else ""
        label = f"{key} {number}{title}"
        unknown = sorted(set(entry) - _KEYS[key])
        if unknown:
            raise CalendarError(
                f"{label}: expected {', '.join(sorted(_KEYS[key]))}, got {unknown[0]!r}"
            )
        found.append((label, entry))
    return found


def _holiday(label: str, entry: Mapping[str, Any]) -> Holiday:
    day = entry.get("date")
    if not isinstance(day, date) or isinstance(day, datetime):
        raise CalendarError(f"{label}: expected date = 2026-12-25 or the like, got {_seen(day)}")
    name = _text(label, entry, "name", default="holiday")
    like = _text(label, entry, "like", default="sunday").lower()
    return Holiday(day, name, like)


def _event(label: str, entry: Mapping[str, Any], *, zone: tzinfo) -> Event:
    factor = entry.get("factor")
    if factor is not None and (isinstance(factor, bool) or not isinstance(factor, int | float)):
        raise CalendarError(f"{label}: expected factor as a number, got {_seen(factor)}")
    start = _moment(label, entry, "start", zone)
    end = _moment(label, entry, "end", zone)
    name = _text(label, entry, "name", default="event")
    return Event(name, start, end, None if factor is None else _number(factor))


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number that no other is as large as
        return math.inf


def _moment(label: str, entry: Mapping[str, Any], key: str, zone: tzinfo) -> float:
    value = entry.get(key)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=zone)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=zone).timestamp()
    raise CalendarError(
        f"{label}: expected {key} = 2026-12-01T09:00:00+01:00 or the like, got {_seen(value)}"
    )


def _text(label: str, entry: Mapping[str, Any], key: str, *, default: str) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str):
        raise CalendarError(f"{label}: expected {key} as text, got {_seen(value)}")
    return value


def _seen(value: object) -> str:
    return "none" if value is None else repr(value)
