"""`predict`: the quantiles of what follows, the highest of a window, or whole scenarios."""

from dataclasses import replace

from rich.console import RenderableType

from forecaster.cli.asked import Asked
from forecaster.cli.documents import (
    at_levels,
    forecast_document,
    highest_at_levels,
    highest_records,
    path_records,
    quantile_records,
)
from forecaster.cli.forecasting import forecast_of
from forecaster.cli.loading import load_siblings, prepared
from forecaster.cli.output.result import Records, Result
from forecaster.cli.progress import OnProgress
from forecaster.cli.settings import settings_of
from forecaster.cli.tables.members import member_table
from forecaster.cli.tables.quantiles import SHOWN, highest_table, quantile_table
from forecaster.cli.tables.scenarios import scenario_table
from forecaster.cli.tables.trust import trust
from forecaster.demand.demand import Demand, DemandError
from forecaster.forecast import Forecast, Highest
from forecaster.pipeline import Outcome
from forecaster.scenarios import Scenarios


def predict(asked: Asked, demand: Demand, _on_progress: OnProgress) -> Result:
    """Forecast what follows the demand."""
    settings = settings_of(asked, demand)
    demand = prepared(asked, demand, season=settings.season_steps)
    outcome = forecast_of(asked, demand, settings, load_siblings(asked, demand))
    highest = _highest(asked, outcome.forecast)
    forecast = _with_paths(outcome.forecast, asked.paths)
    if asked.quantiles is not None:
        forecast = at_levels(forecast, asked.quantiles)
        highest = None if highest is None else highest_at_levels(highest, asked.quantiles)
    told = Outcome(forecast, outcome.members)
    return Result(
        _shown(asked, demand, told, highest),
        forecast_document(told, demand, highest=highest, paths=asked.paths),
        _records(asked, forecast, highest),
    )


def _shown(
    asked: Asked, demand: Demand, outcome: Outcome, highest: Highest | None
) -> list[RenderableType]:
    forecast, name, zone = outcome.forecast, demand.name, asked.zone
    levels = asked.quantiles or SHOWN
    parts: list[RenderableType] = []
    if highest is not None:
        parts.append(highest_table(highest_at_levels(highest, levels), forecast, name, zone))
    elif asked.paths:
        parts.append(scenario_table(forecast, _scenarios(forecast), asked.paths, name, zone))
    else:
        parts += [quantile_table(forecast, name, zone, levels), member_table(outcome.members)]
    said = trust(forecast, demand)
    return [*parts, said] if said.plain else parts


def _records(asked: Asked, forecast: Forecast, highest: Highest | None) -> Records:
    if highest is not None:
        return highest_records(highest, asked.zone)
    if asked.paths:
        return path_records(forecast, _scenarios(forecast), asked.paths, asked.zone)
    return quantile_records(forecast, asked.zone)


def _highest(asked: Asked, forecast: Forecast) -> Highest | None:
    """Return the highest of the asked window, told from all levels; None where none is asked."""
    if asked.lead is None and asked.window is None:
        return None
    lead = asked.lead or 0.0
    window = asked.window or max(forecast.steps * forecast.step - lead, forecast.step)
    return forecast.highest(lead=lead, window=window)


def _with_paths(forecast: Forecast, count: int) -> Forecast:
    """Return the forecast with as many of its scenarios as are asked for, if any are."""
    if not count or forecast.scenarios is None:
        return forecast
    return replace(forecast, scenarios=forecast.scenarios.thinned(count))


def _scenarios(forecast: Forecast) -> Scenarios:
    if forecast.scenarios is None:
        raise DemandError("no scenarios were drawn: there are too few past errors to draw from")
    return forecast.scenarios
