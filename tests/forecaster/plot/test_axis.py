import itertools
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecaster.plot.axis import axis_of


def test_demand_with_a_date_stands_at_its_local_time() -> None:
    axis = axis_of(1_799_990_000.0, 1_800_000_000.0, ZoneInfo("Asia/Kolkata"))

    assert axis.label == "time, Asia/Kolkata (UTC+05:30)"
    assert axis.at(np.array([1_800_000_000.0])) == [datetime(2027, 1, 15, 13, 30)]  # noqa: DTZ001


def test_a_changed_clock_neither_bends_nor_repeats_the_axis() -> None:
    changed = 1_792_890_000.0  # Berlin, 2026-10-25 03:00 to 02:00
    times = changed + np.arange(-7200.0, 7200.0, 600.0)
    places = axis_of(times[0], times[-1], ZoneInfo("Europe/Berlin")).at(times)

    assert {(b - a).total_seconds() for a, b in itertools.pairwise(places)} == {600.0}


@pytest.mark.parametrize(
    ("span", "ticks"),
    [
        pytest.param(5 * 86_400.0, "day %-j\n%H:%M", id="days"),
        pytest.param(3600.0, "%H:%M", id="hours"),
        pytest.param(120.0, "%M:%S", id="minutes"),
    ],
)
def test_demand_without_a_date_counts_from_its_start(span: float, ticks: str) -> None:
    axis = axis_of(300.0, 300.0 + span, ZoneInfo("Asia/Kolkata"))

    assert axis.ticks == ticks
    assert axis.at(np.array([300.0]))[0].strftime("%j %H:%M:%S") == "001 00:00:00"
