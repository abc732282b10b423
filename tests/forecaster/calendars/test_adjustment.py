from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecaster.calendars.adjustment import (
    divided,
    forecast_with_calendar,
    with_events,
    without_events,
)
from forecaster.calendars.calendar import Calendar, Event, Holiday
from forecaster.demand.demand import Demand
from forecaster.forecast import Forecast
from forecaster.pipeline import ForecastSettings, Outcome, make_forecast
from forecaster.scenarios import Scenarios
from telemetry.series import Series, Window

BERLIN = ZoneInfo("Europe/Berlin")
STEP = 900.0
SEASON = 96
SETTINGS = ForecastSettings(STEP, SEASON, 24, quantiles=(0.1, 0.5, 0.9))
UTC = ZoneInfo("UTC")
HOLIDAYS = [
    pytest.param(date(2026, 6, 8), id="a Monday"),
    pytest.param(date(2026, 6, 11), id="a Thursday"),
]


def moment(*parts: int, zone: ZoneInfo = BERLIN) -> float:
    return datetime(*parts, tzinfo=zone).timestamp()


def rates(ends: np.ndarray, holidays: Sequence[date] = ()) -> np.ndarray:
    """Demand that follows the clock in Berlin, half of it on Sundays and holidays."""
    values = []
    for end in ends:
        now = datetime.fromtimestamp(end - STEP / 2, BERLIN)
        hour = now.hour + now.minute / 60
        off = now.weekday() == 6 or now.date() in holidays
        values.append((2 + 20 * np.exp(-(((hour - 13) / 4) ** 2))) * (0.4 if off else 1.0))
    return np.array(values)


def demand(end: float, days: int = 14, holidays: Sequence[date] = ()) -> Demand:
    window = Window(end - (days * SEASON - 1) * STEP, end, STEP)
    noise = np.random.default_rng(0).normal(1.0, 0.03, window.size)
    return Demand("a", Series({}, window, rates(window.times, holidays) * noise))


def error(outcome: Outcome | None, holidays: Sequence[date] = ()) -> float:
    assert outcome is not None
    actual = rates(outcome.forecast.times, holidays)
    return float(np.abs(outcome.forecast.at_quantile(0.5) - actual).mean())


def yesterday(
    demand: Demand, settings: ForecastSettings, *, siblings: Sequence[Demand] = ()
) -> Outcome:
    """Say that all is as it was a day ago: a forecaster whose clock can be read off."""
    day = demand.telling[-settings.season_steps :]
    values = np.resize(day, settings.horizon_steps)[:, None] * np.array([0.8, 1.0, 1.2])
    forecast = Forecast(demand.origin, demand.step, (0.1, 0.5, 0.9), values, "yesterday", 9)
    return Outcome(forecast, ())


@pytest.mark.parametrize("zone", [None, UTC], ids=["none", "UTC"])
@pytest.mark.parametrize("calendar", [None, Calendar()], ids=["none", "empty"])
def test_without_a_calendar_in_utc_nothing_is_changed(zone, calendar):
    asked = demand(moment(2026, 6, 10, 9))

    plain = make_forecast(asked, SETTINGS)
    outcome = forecast_with_calendar(asked, SETTINGS, calendar, zone)

    assert outcome is not None
    assert plain is not None
    np.testing.assert_array_equal(plain.forecast.values, outcome.forecast.values)
    assert plain.forecast.origin == outcome.forecast.origin


def test_too_little_is_too_little_with_a_calendar_too():
    asked = demand(moment(2026, 6, 10, 9), days=1)
    asked = replace(asked, ignored=np.ones(SEASON, np.bool_))

    assert forecast_with_calendar(asked, SETTINGS, None, BERLIN) is None


@pytest.mark.parametrize(
    "end",
    [
        pytest.param((2026, 3, 29, 0), id="before spring"),
        pytest.param((2026, 3, 29, 6), id="after spring"),
        pytest.param((2026, 10, 25, 0), id="before autumn"),
        pytest.param((2026, 10, 25, 6), id="after autumn"),
    ],
)
def test_a_forecast_across_a_change_of_clocks_follows_the_wall(end):
    asked = demand(moment(*end))
    # The last day is compared with the same hours by the wall: a Sunday as any other.
    asked = replace(asked, rate=replace(asked.rate, values=_weekday_rates(asked.window.times)))
    settings = replace(SETTINGS, horizon_steps=40)

    outcome = forecast_with_calendar(asked, settings, None, BERLIN, make=yesterday)

    assert outcome is not None
    forecast = outcome.forecast
    assert forecast.origin == asked.origin
    actual = _weekday_rates(forecast.times)
    told = np.isfinite(forecast.values[:, 1])
    assert told.mean() >= 0.85
    # An hour that repeats takes what is nearest ahead of it on the wall.
    np.testing.assert_allclose(actual[told], forecast.values[told, 1], atol=0.35)
    plain = yesterday(asked, settings).forecast
    assert np.abs(plain.values[:, 1] - actual).max() > 2


def _weekday_rates(ends: np.ndarray) -> np.ndarray:
    hours = [datetime.fromtimestamp(end - STEP / 2, BERLIN) for end in ends]
    clock = np.array([now.hour + now.minute / 60 for now in hours])
    return 2 + 20 * np.exp(-(((clock - 13) / 4) ** 2))


@pytest.mark.parametrize("day", HOLIDAYS)
def test_a_holiday_that_is_like_a_sunday_is_forecast_better_with_a_calendar(day):
    asked = demand(moment(day.year, day.month, day.day, 7), holidays=[day])

    without = forecast_with_calendar(asked, SETTINGS, None, BERLIN)
    with_it = forecast_with_calendar(asked, SETTINGS, Calendar((Holiday(day),)), BERLIN)

    assert error(with_it, [day]) < 0.5 * error(without, [day])


@pytest.mark.parametrize("day", HOLIDAYS)
def test_a_holiday_is_seen_from_the_evening_before(day):
    asked = demand(moment(day.year, day.month, day.day, 0) - 7200)
    settings = replace(SETTINGS, horizon_steps=72)

    without = forecast_with_calendar(asked, settings, None, BERLIN)
    with_it = forecast_with_calendar(asked, settings, Calendar((Holiday(day),)), BERLIN)

    assert error(with_it, [day]) < 0.5 * error(without, [day])


def test_the_day_after_a_holiday_is_better_for_knowing_of_it():
    day = date(2026, 6, 11)
    asked = demand(moment(2026, 6, 12, 7), holidays=[day])

    without = forecast_with_calendar(asked, SETTINGS, None, BERLIN)
    with_it = forecast_with_calendar(asked, SETTINGS, Calendar((Holiday(day),)), BERLIN)

    assert error(with_it, [day]) <= error(without, [day])


def test_an_event_is_learned_from_earlier_ones_and_expected_again():
    earlier = Event("launch", moment(2026, 6, 3, 9), moment(2026, 6, 3, 11))
    ahead = Event("launch", moment(2026, 6, 10, 10), moment(2026, 6, 10, 12))
    asked = demand(moment(2026, 6, 10, 9))
    asked.rate.values[earlier.during(asked.window.times, STEP)] *= 3
    calendar = Calendar((), (earlier, ahead))

    outcome = forecast_with_calendar(asked, SETTINGS, calendar, BERLIN)
    plain = forecast_with_calendar(asked, SETTINGS, None, BERLIN)

    assert outcome is not None
    assert plain is not None
    during = ahead.during(outcome.forecast.times, STEP)
    usual = rates(outcome.forecast.times)
    told = outcome.forecast.values[:, 1] / usual
    untold = plain.forecast.values[:, 1] / usual
    assert during.sum() == 8
    np.testing.assert_allclose(told[during], 3.0, rtol=0.2)
    np.testing.assert_allclose(told[~during], 1.0, rtol=0.2)
    assert untold[during].mean() < 2.2


def test_a_past_event_is_taken_out_or_ignored():
    end = moment(2026, 6, 10, 9)
    known = Event("launch", end - 7200, end - 3600, 2.0)
    unknown = Event("outing", end - 3600, end)
    asked = demand(end, days=3)
    asked = replace(asked, input_tokens=replace(asked.rate, values=asked.rate.values * 500))

    plain = without_events(asked, Calendar((), (known, unknown)), {})

    np.testing.assert_allclose(asked.rate.values[-8:-4] / 2, plain.rate.values[-8:-4])
    np.testing.assert_allclose(asked.input_lengths, plain.input_lengths)
    assert plain.ignored[-4:].all()
    assert plain.ignored.sum() == 4


def test_an_event_ahead_multiplies_quantiles_and_scenarios():
    event = Event("launch", 1900.0, 2700.0, 2.0)
    paths = Scenarios(np.ones((3, 4)), np.full((3, 4), 7.0))
    made = Forecast(900.0, STEP, (0.5, 0.9), np.ones((4, 2)), "m", 1, scenarios=paths)

    forecast = with_events(made, Calendar((), (event,)), {})

    assert forecast.values[:, 1].tolist() == [1, 2, 1, 1]
    assert forecast.scenarios.rate[0].tolist() == [1, 2, 1, 1]
    assert (forecast.scenarios.input_tokens == 7).all()


def test_siblings_are_laid_on_the_wall_as_well():
    seen: list[Demand] = []

    def make(asked, settings, *, siblings=()):
        seen.extend([asked, *siblings])
        return yesterday(asked, settings)

    asked = demand(moment(2026, 4, 2, 9))
    forecast_with_calendar(asked, SETTINGS, None, BERLIN, siblings=[asked], make=make)

    assert seen[0].window == seen[1].window
    assert seen[0].size == asked.size + 4


def test_dividing_keeps_gaps():
    asked = demand(moment(2026, 6, 10, 9), days=1)
    asked.rate.values[3] = np.nan

    assert np.isnan(divided(asked, np.full(SEASON, 2.0)).rate.values[3])
