from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from forecaster.calendars.calendar import CalendarError, Event, Holiday
from forecaster.calendars.calendar_file import parse_calendar, read_calendar

TEXT = """
[[holiday]]
date = 2026-12-25
name = "Christmas"
like = "Sunday"

[[holiday]]
date = 2027-01-01

[[event]]
name = "launch"
start = 2026-12-01T09:00:00+01:00
end = 2026-12-01T11:00:00+01:00
factor = 2
"""
NINE = datetime(2026, 12, 1, 8, tzinfo=UTC).timestamp()


def test_holidays_and_events_are_read():
    calendar = parse_calendar(TEXT)

    assert calendar.holidays == (
        Holiday(date(2026, 12, 25), "Christmas"),
        Holiday(date(2027, 1, 1)),
    )
    assert calendar.events == (Event("launch", NINE, NINE + 7200.0, 2.0),)


def test_a_time_without_an_offset_is_of_the_zone():
    text = "[[event]]\nstart = 2026-12-01T09:00:00\nend = 2026-12-02"

    (event,) = parse_calendar(text, zone=ZoneInfo("Europe/Berlin")).events

    assert event == Event("event", NINE, NINE + 15 * 3600.0)


def test_nothing_is_a_calendar_of_nothing():
    assert parse_calendar("").holidays == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[[holiday", "expected TOML", id="no TOML"),
        pytest.param("zone = 1", r"expected \[\[holiday\]\].*'zone'", id="an unknown table"),
        pytest.param("holiday = [1]", r"expected \[\[holiday\]\] tables", id="no tables"),
        pytest.param('[[holiday]]\nname = "X"', r"holiday 1 \(X\).*got none", id="no date"),
        pytest.param(
            TEXT + "\n[[holiday]]\ndate = 5",
            "holiday 3: expected date .* got 5",
            id="no such date",
        ),
        pytest.param("[[holiday]]\ndate = 2026-12-25\nlike = 3", "like as text", id="like what"),
        pytest.param(
            '[[holiday]]\ndate = 2026-12-25\nlike = "easter"', "easter", id="no day of the week"
        ),
        pytest.param('[[event]]\nnam = "x"', "event 1: expected .* got 'nam'", id="unknown key"),
        pytest.param(
            '[[event]]\nname = "x"\nstart = "9"', r"event 1 \(x\): .*got '9'", id="no time"
        ),
        pytest.param(
            "[[event]]\nstart = 2026-12-01\nend = 2026-12-02\nfactor = 1" + "0" * 400,
            "a factor above 0, got inf",
            id="a factor beyond all numbers",
        ),
        pytest.param(
            "[[event]]\nstart = 2026-12-01\nend = 2026-12-02\nfactor = true",
            "factor as a number",
            id="no number",
        ),
        pytest.param(
            "[[event]]\nstart = 2026-12-02\nend = 2026-12-01", "after its start", id="backwards"
        ),
    ],
)
def test_what_is_wrong_is_said_by_entry(text, message):
    with pytest.raises(CalendarError, match=message):
        parse_calendar(text)


def test_files_are_read_by_their_ending(tmp_path):
    (tmp_path / "a.toml").write_text(TEXT)
    (tmp_path / "a.ics").write_text(
        "BEGIN:VEVENT\nSUMMARY:Christmas\nDTSTART;VALUE=DATE:20261225\nEND:VEVENT\n"
    )

    assert len(read_calendar(tmp_path / "a.toml").events) == 1
    assert read_calendar(tmp_path / "a.ics").holidays == (
        Holiday(date(2026, 12, 25), "Christmas"),
    )


def test_errors_name_the_file(tmp_path):
    (tmp_path / "bad.toml").write_text("x = 1")

    with pytest.raises(CalendarError, match=r"none\.toml"):
        read_calendar(tmp_path / "none.toml")
    with pytest.raises(CalendarError, match=r"bad\.toml.*'x'"):
        read_calendar(tmp_path / "bad.toml")
