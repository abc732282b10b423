from zoneinfo import ZoneInfo

import pytest

from forecaster.moments import moment, spoken

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_moment_with_a_date_is_told_in_its_zone() -> None:
    assert moment(1_800_000_000.0, BERLIN) == "2027-01-15 09:00 CET"


def test_one_without_a_date_counts_from_the_start_in_any_zone() -> None:
    assert moment(5400.0, BERLIN) == "1 h 30 min from the start"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (90, "90 s"),
        (0.5, "0.5 s"),
        (60, "1 min"),
        (150, "2 min 30 s"),
        (5400, "1 h 30 min"),
        (86_400, "1 d"),
        (90_061, "1 d 1 h"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert spoken(seconds) == said
