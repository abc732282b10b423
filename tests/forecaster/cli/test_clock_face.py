from zoneinfo import ZoneInfo

from forecaster.cli.clock_face import clock, stamp

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_moment_with_a_date_is_told_in_its_zone() -> None:
    assert clock(1_800_000_000.0, BERLIN) == "Fri 09:00"
    assert clock(1_800_000_030.0, BERLIN) == "Fri 09:00:30"
    assert stamp(1_800_000_000.0, BERLIN) == "2027-01-15T09:00:00+01:00"


def test_one_without_a_date_has_no_clock() -> None:
    assert (clock(5400.0, BERLIN), stamp(5400.0, BERLIN)) == (None, None)
