"""How the command line forecasts: with the members, the calendar and the seed that were asked."""

from collections.abc import Sequence
from functools import partial
from zoneinfo import ZoneInfo

from forecaster import roster
from forecaster.calendars.adjustment import MakesForecasts, forecast_with_calendar
from forecaster.calendars.calendar import Calendar
from forecaster.calendars.calendar_file import read_calendar
from forecaster.cli.asked import Asked
from forecaster.cli.loading import prepared
from forecaster.demand.demand import Demand, DemandError
from forecaster.models.extras import ModelError
from forecaster.models.model import Model
from forecaster.moments import DATED, spoken
from forecaster.pipeline import LEAST_POINTS, ForecastSettings, Outcome, make_forecast
from forecaster.scoring.backtest import Make


def members_of(asked: Asked) -> Sequence[Model]:
    """Return the models that were named, or the default roster."""
    if asked.members is None:
        return roster.cheap()
    try:
        return roster.named(asked.members)
    except ModelError as error:
        raise DemandError(str(error)) from error


def maker(asked: Asked, models: Sequence[Model], siblings: Sequence[Demand] = ()) -> Make:
    """Return what makes a forecast of demand alone; None where no model has enough to go by."""
    return partial(_make(asked, models), siblings=siblings)


def blind_maker(asked: Asked, models: Sequence[Model], siblings: Sequence[Demand] = ()) -> Make:
    """Return what makes a forecast of demand and of what siblings told up to the same time."""
    make = _make(asked, models)

    def made(demand: Demand, settings: ForecastSettings, /) -> Outcome | None:
        known = [then for one in siblings if (then := _until(one, demand.origin)) is not None]
        return make(demand, settings, siblings=known)

    return made


def past_maker(asked: Asked, models: Sequence[Model], siblings: Sequence[Demand] = ()) -> Make:
    """Return what forecasts again from a past origin, mending by what was known then alone."""
    make = blind_maker(asked, models, siblings)

    def made(demand: Demand, settings: ForecastSettings, /) -> Outcome | None:
        return make(prepared(asked, demand, season=settings.season_steps), settings)

    return made


def forecast_of(
    asked: Asked, demand: Demand, settings: ForecastSettings, siblings: Sequence[Demand] = ()
) -> Outcome:
    """Return the forecast of what follows; raise DemandError where too little is known."""
    outcome = maker(asked, members_of(asked), siblings)(demand, settings)
    if outcome is None:
        raise DemandError(
            f"{demand.name}: too little demand is known to forecast from: expected {LEAST_POINTS} "
            f"steps of {spoken(settings.step_seconds)} or more, the last within a season of the "
            f"end{', and enough for the members named' if asked.members else ''}"
        )
    return outcome


def _make(asked: Asked, models: Sequence[Model]) -> MakesForecasts:
    calendar = _calendar(asked)
    plainly = partial(make_forecast, models=models, seed=asked.seed)

    def make(
        demand: Demand, settings: ForecastSettings, *, siblings: Sequence[Demand] = ()
    ) -> Outcome | None:
        zone, season = _zone(asked, demand), settings.season_steps
        like = [prepared(asked, one, season=season) for one in siblings]
        return forecast_with_calendar(
            demand, settings, calendar, zone, siblings=like, make=plainly
        )

    return make


def _until(demand: Demand, moment: float) -> Demand | None:
    """Return what of the demand was known by then; None if nothing was."""
    known = int((demand.window.times <= moment).sum())
    return demand.part(0, known) if known else None


def _calendar(asked: Asked) -> Calendar | None:
    return None if asked.calendar is None else read_calendar(asked.calendar, zone=asked.zone)


def _zone(asked: Asked, demand: Demand) -> ZoneInfo | None:
    """Return the zone whose clock demand follows; none where demand has no date."""
    return asked.zone if demand.origin >= DATED else None
