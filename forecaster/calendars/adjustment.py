"""Adjustment: forecasts are made as if every day were ordinary, then given their calendar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from zoneinfo import ZoneInfo

from forecaster.calendars.calendar import Calendar, Floats
from forecaster.calendars.events import event_factors, learned_factors
from forecaster.calendars.holidays import DayShapes, holiday_factors
from forecaster.calendars.local_time import LocalGrid
from forecaster.demand.demand import Demand
from forecaster.forecast import Forecast
from forecaster.pipeline import ForecastSettings, Outcome, make_forecast
from telemetry.series import Series

_UTC = ZoneInfo("UTC")


class MakesForecasts(Protocol):
    """Makes a forecast of demand as it stands, as `make_forecast` does."""

    def __call__(
        self, demand: Demand, settings: ForecastSettings, *, siblings: Sequence[Demand] = ()
    ) -> Outcome | None:
        """Forecast the steps after the last one; None where too little is known."""
        ...


def forecast_with_calendar(
    demand: Demand,
    settings: ForecastSettings,
    calendar: Calendar | None = None,
    zone: ZoneInfo | None = None,
    *,
    siblings: Sequence[Demand] = (),
    make: MakesForecasts = make_forecast,
) -> Outcome | None:
    """Forecast demand that follows the local clock, holidays and events.

    What the calendar explains is taken out of the past, and given to the steps ahead; without a
    calendar, in UTC, this is `make`.
    """
    known = calendar or Calendar()
    if not known.holidays and not known.events and (zone or _UTC).key in {"UTC", "Etc/UTC"}:
        return make(demand, settings, siblings=siblings)
    usual = _ordinary(demand, known, zone or _UTC)
    steps = settings.horizon_steps
    horizon = max(steps, int(usual.grid.slots_ahead(steps).max()))
    others = [_ordinary(one, known, zone or _UTC).demand for one in siblings]
    outcome = make(usual.demand, replace(settings, horizon_steps=horizon), siblings=others)
    if outcome is None:
        return None
    forecast = outcome.forecast
    expected = forecast.at_quantile(0.5)
    factors = holiday_factors(forecast.times, usual.shapes, known, expected=expected)
    forecast = usual.grid.unlaid(multiplied(forecast, factors), steps)
    return replace(outcome, forecast=with_events(forecast, known, usual.learned))


def without_events(demand: Demand, calendar: Calendar, learned: Mapping[str, float]) -> Demand:
    """Return the demand without what past events made of it; those of no known factor ignored."""
    factors, unknown = event_factors(demand.window.times, demand.step, calendar, learned)
    if not unknown.any() and (factors == 1.0).all():
        return demand
    ignored = unknown if demand.ignored is None else demand.ignored | unknown
    return replace(divided(demand, factors), ignored=ignored)


def with_events(forecast: Forecast, calendar: Calendar, learned: Mapping[str, float]) -> Forecast:
    """Return the forecast with what the events ahead are expected to make of it."""
    factors, _ = event_factors(forecast.times, forecast.step, calendar, learned)
    return multiplied(forecast, factors)


def divided(demand: Demand, factors: Floats) -> Demand:
    """Return the demand, requests and tokens, divided step by step."""

    def over(series: Series) -> Series:
        return replace(series, values=series.values / factors)

    return replace(
        demand,
        rate=over(demand.rate),
        input_tokens=None if demand.input_tokens is None else over(demand.input_tokens),
        output_tokens=None if demand.output_tokens is None else over(demand.output_tokens),
    )


def multiplied(forecast: Forecast, factors: Floats) -> Forecast:
    """Return the forecast, quantiles and scenarios, multiplied step by step."""
    if (factors == 1.0).all():
        return forecast
    drawn = forecast.scenarios
    if drawn is not None:
        drawn = replace(drawn, rate=drawn.rate * factors)
    return replace(forecast, values=forecast.values * factors[:, None], scenarios=drawn)


@dataclass(frozen=True, slots=True)
class _Ordinary:
    """Demand as it would be were every day ordinary, on wall-clock slots, and what it took."""

    demand: Demand
    grid: LocalGrid
    shapes: DayShapes
    learned: Mapping[str, float]


def _ordinary(demand: Demand, calendar: Calendar, zone: ZoneInfo) -> _Ordinary:
    learned = learned_factors(demand, calendar)
    grid = LocalGrid(demand.window, zone)
    local = grid.laid(without_events(demand, calendar, learned))
    shapes = DayShapes.of(local, calendar)
    factors = holiday_factors(local.window.times, shapes, calendar)
    usual = local if (factors == 1.0).all() else divided(local, factors)
    return _Ordinary(usual, grid, shapes, learned)
