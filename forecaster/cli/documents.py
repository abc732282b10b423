"""What is told to machines of a forecast: one shape, here and over HTTP."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from forecaster.cli.clock_face import stamp
from forecaster.cli.digits import json_number, level
from forecaster.cli.output.result import Cell, Records
from forecaster.demand.demand import Demand
from forecaster.document import forecast_body
from forecaster.forecast import Forecast, Highest
from forecaster.pipeline import Member, Outcome
from forecaster.scenarios import Scenarios


def at_levels(forecast: Forecast, levels: tuple[float, ...]) -> Forecast:
    """Return the forecast with these of its levels alone."""
    places = [forecast.quantiles.index(quantile) for quantile in levels]
    return replace(forecast, quantiles=levels, values=forecast.values[:, places])


def highest_at_levels(highest: Highest, levels: tuple[float, ...]) -> Highest:
    """Return the highest rate at these of the levels that it was worked out from."""
    places = [highest.quantiles.index(quantile) for quantile in levels]
    return replace(highest, quantiles=levels, values=highest.values[places])


def forecast_document(
    outcome: Outcome, demand: Demand, *, highest: Highest | None, paths: int
) -> dict[str, object]:
    """Return the forecast with its members, and what was mended in the demand."""
    return {
        "name": demand.name,
        **forecast_body(outcome.forecast, highest=highest, paths=paths),
        "residuals": outcome.forecast.residuals,
        "members": member_documents(outcome.members),
        "repairs": list(demand.repairs),
    }


def member_documents(members: Iterable[Member]) -> list[dict[str, object]]:
    """Return each member with its weight and loss."""
    return [
        {
            "name": member.name,
            "weight": json_number(member.weight),
            "weights": [json_number(weight) for weight in member.weights],
            "loss": json_number(member.loss),
        }
        for member in members
    ]


def quantile_records(forecast: Forecast, zone: ZoneInfo) -> Records:
    """Return a row for each step and a column for each level."""
    columns: dict[str, list[Cell]] = _ahead(forecast, zone)
    for quantile, values in zip(forecast.quantiles, forecast.values.T, strict=True):
        columns[level(quantile)] = values.tolist()
    return Records(columns)


def highest_records(highest: Highest, zone: ZoneInfo) -> Records:
    """Return a row for each level of the highest rate."""
    count = len(highest.quantiles)
    return Records(
        {
            "begins": [stamp(highest.begins, zone) or highest.begins] * count,
            "ends": [stamp(highest.ends, zone) or highest.ends] * count,
            "quantile": list(highest.quantiles),
            "highest": highest.values.tolist(),
        }
    )


def path_records(forecast: Forecast, scenarios: Scenarios, count: int, zone: ZoneInfo) -> Records:
    """Return a row for each step of each path."""
    ahead = _ahead(forecast, zone)
    columns: dict[str, Sequence[Cell]] = {
        "path": [path + 1 for path in range(count) for _ in range(forecast.steps)],
        **{name: cells * count for name, cells in ahead.items()},
        "rate": scenarios.rate[:count].ravel().tolist(),
    }
    for name in ("input_tokens", "output_tokens"):
        lengths = getattr(scenarios, name)
        if lengths is not None:
            columns[name] = lengths[:count].ravel().tolist()
    return Records(columns)


def _ahead(forecast: Forecast, zone: ZoneInfo) -> dict[str, list[Cell]]:
    return {
        "time": [stamp(moment, zone) or moment for moment in forecast.times.tolist()],
        "seconds_ahead": (forecast.times - forecast.origin).tolist(),
    }
