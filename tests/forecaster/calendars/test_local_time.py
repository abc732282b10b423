from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecaster.calendars.calendar import CalendarError
from forecaster.calendars.local_time import LocalGrid, wall, zone_named
from forecaster.demand.demand import Demand
from forecaster.forecast import Forecast
from forecaster.scenarios import Scenarios
from telemetry.series import Series, Window

BERLIN = ZoneInfo("Europe/Berlin")
STEP = 900.0
SPRING = datetime(2026, 3, 29, 1, tzinfo=ZoneInfo("UTC")).timestamp()
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=ZoneInfo("UTC")).timestamp()
NAN = float("nan")


def window(change: float, before: int, after: int) -> Window:
    return Window(change - STEP * before, change + STEP * after, STEP)


def clock(ends: np.ndarray) -> np.ndarray:
    """The hour on the wall in Berlin in the middle of each step."""
    return np.array(
        [
            moment.hour + moment.minute / 60 + moment.second / 3600
            for moment in (datetime.fromtimestamp(end - STEP / 2, BERLIN) for end in ends)
        ]
    )


def demand(over: Window, values: np.ndarray, **more) -> Demand:
    return Demand("a", Series({}, over, values), **more)


@pytest.mark.parametrize("change", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_every_slot_is_at_its_hour(change):
    over = window(change, 100, 100)
    grid = LocalGrid(over, BERLIN)

    laid = grid.laid(demand(over, clock(over.times))).rate

    hours = ((laid.times - STEP / 2) % 86400) / 3600
    known = np.isfinite(laid.values)
    # A repeated hour was seen at 02:07 twice: the mean is 02:07.
    np.testing.assert_allclose(
        np.floor(hours[known] * 4) / 4, np.floor(laid.values[known] * 4) / 4
    )
    assert laid.values.size == over.size + (4 if change == SPRING else -4)


def test_the_hour_that_spring_skips_is_a_gap():
    over = window(SPRING, 3, 3)

    laid = LocalGrid(over, BERLIN).laid(demand(over, np.arange(1.0, 8.0)))

    np.testing.assert_array_equal([1, 2, 3, 4, NAN, NAN, NAN, NAN, 5, 6, 7], laid.rate.values)


def test_the_hour_that_autumn_repeats_is_the_mean_of_both():
    over = window(AUTUMN, 5, 5)

    laid = LocalGrid(over, BERLIN).laid(demand(over, np.arange(1.0, 12.0)))

    # Step 6 ends as the clock shows 02:00 of its second pass, or rather 03:00 of its first.
    np.testing.assert_array_equal([1, 2, 5, 6, 7, 8, 11], laid.rate.values)


def test_a_pass_that_is_ignored_is_left_out_of_the_mean():
    over = window(AUTUMN, 5, 5)
    ignored = np.zeros(11, np.bool_)
    ignored[[0, 3]] = True

    laid = LocalGrid(over, BERLIN).laid(
        demand(
            over, np.arange(1.0, 12.0), ignored=ignored, input_tokens=Series({}, over, np.ones(11))
        )
    )

    np.testing.assert_array_equal([1, 2, 5, 8, 7, 8, 11], laid.rate.values)
    np.testing.assert_array_equal([True, *[False] * 6], laid.ignored)
    assert laid.input_tokens.window == laid.rate.window


@pytest.mark.parametrize(
    ("change", "before", "ahead"),
    [
        pytest.param(SPRING, 8, [1, 2, 7, 8], id="spring ahead"),
        pytest.param(SPRING, -8, [1, 2, 3, 4], id="spring behind"),
        pytest.param(AUTUMN, 8, [1, 2, 1, 1, 1, 2, 3], id="autumn ahead"),
    ],
)
def test_the_slots_of_the_steps_ahead_follow_the_wall(change, before, ahead):
    end = change - 2 * STEP if before > 0 else change + 2 * STEP
    grid = LocalGrid(Window(end - 40 * STEP, end, STEP), BERLIN)

    assert grid.slots_ahead(len(ahead)).tolist() == ahead


def test_in_the_repeated_hour_the_last_slot_is_the_last_steps():
    over = window(AUTUMN, 20, 2)
    grid = LocalGrid(over, BERLIN)

    laid = grid.laid(demand(over, np.arange(23.0)))

    assert laid.origin == grid.shown[-1]
    assert laid.rate.values[-1] == (22 + 18) / 2
    assert grid.slots_ahead(2).tolist() == [1, 2]


@pytest.mark.parametrize("change", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_a_forecast_across_a_change_has_the_level_of_its_hour(change):
    over = window(change, 60, -6)
    grid = LocalGrid(over, BERLIN)
    steps = 20
    local = grid.laid(demand(over, clock(over.times)))
    slots = max(steps, int(grid.slots_ahead(steps).max()))
    hours = ((local.origin + STEP * np.arange(1, slots + 1) - STEP / 2) % 86400) / 3600
    values = np.stack([hours, 2 * hours], axis=1)
    paths = Scenarios(np.stack([hours, 3 * hours]))
    made = Forecast(local.origin, STEP, (0.5, 0.9), values, "m", 1, scenarios=paths)

    forecast = grid.unlaid(made, steps)

    expected = clock(forecast.times)
    assert forecast.origin == over.end
    assert forecast.steps == steps
    np.testing.assert_allclose(expected, forecast.values[:, 0])
    np.testing.assert_allclose(2 * expected, forecast.values[:, 1])
    np.testing.assert_allclose(3 * expected, forecast.scenarios.rate[1])


def test_a_forecast_of_nothing_stays_nothing():
    over = window(SPRING, 60, -2)
    grid = LocalGrid(over, BERLIN)
    made = Forecast(0.0, STEP, (0.5,), np.zeros((12, 1)), "m", 1)

    assert (grid.unlaid(replace(made), 8).values == 0).all()


def test_a_day_is_equally_long_all_year():
    over = window(SPRING, 200, 200)
    shown = wall(over.times, BERLIN, step=STEP)

    assert np.unique(np.round(np.diff(shown))).tolist() == [STEP, STEP + 3600]


def test_a_zone_that_is_none_is_refused():
    assert zone_named("Europe/Berlin").key == "Europe/Berlin"
    with pytest.raises(CalendarError, match="Mars/Base"):
        zone_named("Mars/Base")
