from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from forecaster.calendars.calendar import CalendarError, Event, Holiday
from forecaster.calendars.icalendar import parse_icalendar

NINE = datetime(2026, 12, 1, 9, tzinfo=UTC).timestamp()


def entry(*lines: str) -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR"])


@pytest.mark.parametrize(
    ("start", "end", "zone"),
    [
        pytest.param("DTSTART:20261201T090000Z", "DTEND:20261201T100000Z", UTC, id="in UTC"),
        pytest.param(
            "DTSTART;TZID=Europe/Berlin:20261201T100000",
            "DTEND;TZID=Europe/Berlin:20261201T110000",
            UTC,
            id="in a zone",
        ),
        pytest.param(
            "DTSTART:20261201T100000",
            "DTEND:20261201T110000",
            ZoneInfo("Europe/Berlin"),
            id="here",
        ),
    ],
)
def test_times_are_events(start, end, zone):
    text = entry(
        "SUMMARY:Product", "  launch", start, end, "BEGIN:VALARM", "SUMMARY:x", "END:VALARM"
    )

    assert parse_icalendar(text, zone=zone).events == (
        Event("Product launch", NINE, NINE + 3600.0),
    )


def test_whole_days_are_holidays_up_to_the_day_before_the_end():
    text = entry("SUMMARY:Christmas", "DTSTART;VALUE=DATE:20261225", "DTEND;VALUE=DATE:20261227")

    assert parse_icalendar(text).holidays == (
        Holiday(date(2026, 12, 25), "Christmas"),
        Holiday(date(2026, 12, 26), "Christmas"),
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(["SUMMARY:x"], r"event 1 \(x\): expected DTSTART, got none", id="no start"),
        pytest.param(["DTSTART:20261201T090000Z"], "expected DTEND", id="no end"),
        pytest.param(["DTSTART:2026-12-01"], "got '2026-12-01'", id="another form"),
        pytest.param(["DTSTART:20261201", "RRULE:FREQ=YEARLY"], "repeats", id="repeats"),
        pytest.param(
            ["DTSTART:20261201", "DTEND:20261201T090000Z"], "without a time", id="mixed one way"
        ),
        pytest.param(
            ["DTSTART:20261201T090000Z", "DTEND:20261202"], "with a time", id="mixed the other"
        ),
        pytest.param(
            ["DTSTART;TZID=Mars/Base:20261201T090000"], "Mars/Base", id="an unknown zone"
        ),
    ],
)
def test_what_cannot_be_read_is_said_by_entry(lines, message):
    with pytest.raises(CalendarError, match=message):
        parse_icalendar(entry(*lines))


def test_the_last_day_of_all_is_one_as_well():
    text = entry("DTSTART;VALUE=DATE:99991231")

    assert [one.day for one in parse_icalendar(text).holidays] == [date(9999, 12, 31)]
