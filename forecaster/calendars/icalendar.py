"""iCalendar: the holidays (whole days) and events (with times) of an .ics file, read plainly."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from forecaster.calendars.calendar import Calendar, CalendarError, Event, Holiday
from forecaster.calendars.local_time import zone_named


@dataclass(frozen=True, slots=True)
class _Property:
    """What stands after the name of a line: its parameters and its value."""

    parameters: Mapping[str, str]
    value: str


def parse_icalendar(text: str, *, zone: tzinfo = UTC) -> Calendar:
    """Return the calendar that a text says by its VEVENTs: DTSTART, DTEND and SUMMARY.

    Whole days are holidays like a Sunday; times are events whose factor is learned. A time
    without a zone is one of `zone`. Those that repeat are refused rather than half read.
    """
    holidays: list[Holiday] = []
    events: list[Event] = []
    for number, entry in enumerate(_entries(text), start=1):
        name = entry["SUMMARY"].value if "SUMMARY" in entry else "event"
        label = f"event {number} ({name})"
        if "RRULE" in entry or "RDATE" in entry:
            raise CalendarError(f"{label}: expected one event for each time, got one that repeats")
        start = _when(label, entry, "DTSTART", zone)
        if isinstance(start, datetime):
            events.append(_event(label, name, entry, start, zone))
        else:
            holidays.extend(_holidays(label, name, entry, start, zone))
    return Calendar(tuple(holidays), tuple(events))


def _entries(text: str) -> Iterator[dict[str, _Property]]:
    """Yield the properties of each VEVENT; those within an alarm of it are left out."""
    unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "")
    entry: dict[str, _Property] | None = None
    inner = 0
    for line in unfolded.splitlines():
        head, _, value = line.partition(":")
        name, *parameters = head.split(";")
        mark = (name.upper(), value.strip().upper())
        if mark == ("BEGIN", "VEVENT"):
            entry, inner = {}, 0
        elif mark == ("END", "VEVENT") and entry is not None:
            yield entry
            entry = None
        elif entry is not None and mark[0] in {"BEGIN", "END"}:
            inner += 1 if mark[0] == "BEGIN" else -1
        elif entry is not None and not inner:
            pairs = (parameter.partition("=") for parameter in parameters)
            entry[mark[0]] = _Property({key.upper(): val for key, _, val in pairs}, value.strip())


def _event(
    label: str, name: str, entry: Mapping[str, _Property], start: datetime, zone: tzinfo
) -> Event:
    end = _when(label, entry, "DTEND", zone)
    if not isinstance(end, datetime):
        raise CalendarError(f"{label}: expected DTEND with a time, as DTSTART has, got {end}")
    return Event(name, start.timestamp(), end.timestamp())


def _holidays(
    label: str, name: str, entry: Mapping[str, _Property], start: date, zone: tzinfo
) -> list[Holiday]:
    """Return a holiday for each whole day; DTEND is the day after the last."""
    end = _when(label, entry, "DTEND", zone) if "DTEND" in entry else start
    if isinstance(end, datetime):
        raise CalendarError(f"{label}: expected DTEND without a time, as DTSTART is, got {end}")
    length = max(1, (end - start).days)
    return [Holiday(start + timedelta(days=day), name) for day in range(length)]


def _when(label: str, entry: Mapping[str, _Property], key: str, zone: tzinfo) -> datetime | date:
    """Return a moment, or a day where no time is given."""
    if key not in entry:
        raise CalendarError(f"{label}: expected {key}, got none")
    text = entry[key].value
    named = entry[key].parameters.get("TZID")
    try:
        if "T" not in text:
            return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
        if text.endswith("Z"):
            return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        place = zone if named is None else zone_named(named.strip('"'))
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=place)
    except ValueError:
        raise CalendarError(
            f"{label}: expected {key} as 20261201T090000Z or 20261201, got {text!r}"
        ) from None
