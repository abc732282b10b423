"""Forecasts: the live forecaster as the settings have it, and what is kept of demand for it."""

from collections.abc import Mapping, Sequence
from functools import partial
from zoneinfo import ZoneInfo

from aiohttp import web

from forecaster import roster
from forecaster.apart import Make
from forecaster.calendars.adjustment import forecast_with_calendar
from forecaster.calendars.calendar import Calendar
from forecaster.calendars.calendar_file import read_calendar
from forecaster.demand.demand import Demand, DemandError
from forecaster.live.api import add_forecast_routes
from forecaster.live.card import LiveCard
from forecaster.live.service import ForecastService
from forecaster.live.shadow import Shadow
from forecaster.live.tenants import LargeTenants
from forecaster.live.training import FittedBeside
from forecaster.models.extras import ModelError
from forecaster.models.model import Model
from forecaster.pipeline import ForecastSettings, Outcome, make_forecast
from telemetry import catalog
from telemetry.clock import Clock
from telemetry.publish import Metrics
from telemetry.store import Reader
from warmfront.config import Config
from warmfront.errors import ConfigError
from warmfront.state_dir import StateDir

_DEMAND = (
    catalog.GATEWAY_ARRIVALS,
    catalog.GATEWAY_REQUESTS,
    catalog.GATEWAY_INPUT_TOKENS,
    catalog.GATEWAY_OUTPUT_TOKENS,
    catalog.TENANT_REQUESTS,
    catalog.TENANT_TOKENS,
)


def demand_retention(config: Config) -> Mapping[str, float]:
    """Return how many seconds each metric of demand is kept: its seasons, and one more."""
    own = config.forecast
    seconds = (own.history_seasons + 1) * own.season_seconds
    return {metric.name: seconds for metric in _DEMAND}


def forecasts_of(
    config: Config, state: StateDir, *, reader: Reader, metrics: Metrics, clock: Clock
) -> ForecastService:
    """Build the live forecaster of the served model; raise ConfigError where it cannot be."""
    settings = forecast_settings(config)
    tenants = LargeTenants(
        reader,
        step=settings.step_seconds,
        points=settings.history_steps,
        season=settings.season_steps,
    )
    return ForecastService(
        reader,
        metrics,
        clock,
        settings,
        model=config.model.name,
        make=Shadow(_make(config, metrics), tenants, settings),
        memory=state.forecasts,
    )


def add_forecast_pages(app: web.Application, forecasts: ForecastService, config: Config) -> None:
    """Answer with the forecast and its card beside the pages of `app`."""
    card = LiveCard(forecasts, forecast_settings(config))
    add_forecast_routes(app, forecasts.latest, card)


def forecast_settings(config: Config) -> ForecastSettings:
    """Return what is forecast, as the settings have it."""
    own = config.forecast
    return ForecastSettings(
        step_seconds=own.step_seconds,
        season_steps=own.season_steps,
        horizon_steps=own.horizon_steps,
        history_seasons=own.history_seasons,
    )


def _make(config: Config, metrics: Metrics) -> Make:
    """Return the way to a forecast: by these members, with this calendar, on this clock."""
    own = config.forecast
    return partial(
        forecast_with_calendar,
        calendar=_calendar(config),
        zone=ZoneInfo(own.timezone),
        make=partial(_of_members, members=_members(config, metrics)),
    )


def _of_members(
    demand: Demand,
    settings: ForecastSettings,
    *,
    members: Sequence[Model] | None,
    siblings: Sequence[Demand] = (),
) -> Outcome | None:
    """Forecast by these members, and by the quick ones while none of these can be asked."""
    outcome = make_forecast(demand, settings, models=members, siblings=siblings)
    if outcome is None and members is not None:
        return make_forecast(demand, settings, siblings=siblings)
    return outcome


def _calendar(config: Config) -> Calendar | None:
    own = config.forecast
    if own.calendar is None:
        return None
    try:
        return read_calendar(own.calendar, zone=ZoneInfo(own.timezone))
    except DemandError as error:
        raise ConfigError(f"forecast.calendar: {error}") from error


def _members(config: Config, metrics: Metrics) -> Sequence[Model] | None:
    """Return the members that are named; what is slow among them is fitted beside."""
    names = config.forecast.members
    if names is None:
        return None
    try:
        chosen = roster.named(names)
    except ModelError as error:
        raise ConfigError(f"forecast.members: {error}") from error
    quick = {model.name for model in roster.cheap()}
    counted = metrics.counter(catalog.FORECAST_TRAININGS)

    def told(name: str, is_fitted: bool) -> None:  # noqa: FBT001 - a callback's only fact
        counted.labels(config.model.name, name, "fitted" if is_fitted else "failed").inc()

    return [one if one.name in quick else FittedBeside(one, fitted=told) for one in chosen]
