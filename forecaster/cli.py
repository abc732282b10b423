"""`warmfront forecast`: the forecast of a recorded trace, and how far to trust it."""

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table

from forecaster.forecast import Forecast
from forecaster.pipeline import LEAST_POINTS, ForecastSettings, Outcome, make_forecast
from forecaster.selection import Scorecard
from forecaster.trace import Trace, TraceError
from forecaster.trace_file import read_trace


def run(
    path: Path,
    *,
    step: float,
    season: float,
    horizon_steps: int,
    as_json: bool,
    out: TextIO,
    errors: TextIO = sys.stderr,
) -> int:
    """Forecast what follows the trace and write it to `out`; 1, and why, where that cannot be."""
    try:
        settings = _settings(path, step, season, horizon_steps)
        outcome = _forecast(read_trace(path), settings)
    except TraceError as error:
        errors.write(f"forecast: {error}\n")
        return 1
    if as_json:
        json.dump(_as_json(outcome), out, indent=2)
        out.write("\n")
    else:
        _print(outcome, path.name, Console(file=out))
    return 0


def _settings(path: Path, step: float, season: float, horizon_steps: int) -> ForecastSettings:
    try:
        return ForecastSettings(
            model=path.name,
            step_seconds=step,
            season_steps=_season_steps(step, season),
            horizon_steps=horizon_steps,
        )
    except ValueError as error:
        raise TraceError(str(error)) from error


def _season_steps(step: float, season: float) -> int:
    if step <= 0 or abs(season / step - round(season / step)) > 1e-9:  # noqa: PLR2004
        raise TraceError(
            f"expected a season that is a whole number of steps, got a season of {season:g} s "
            f"and a step of {step:g} s"
        )
    return round(season / step)


def _forecast(trace: Trace, settings: ForecastSettings) -> Outcome:
    demand = trace.requests_per_second(settings.step_seconds)
    outcome = make_forecast(demand, settings)
    if outcome is None:
        raise TraceError(
            f"{trace.name}: too little demand is known to forecast from: expected {LEAST_POINTS} "
            f"steps of {settings.step_seconds:g} s or more, the last within a season of the end"
        )
    return outcome


def _as_json(outcome: Outcome) -> dict[str, object]:
    forecast = outcome.forecast
    return {
        "model": forecast.model,
        "origin": forecast.origin,
        "step": forecast.step,
        "unit": forecast.unit,
        "residuals": forecast.residuals,
        "quantiles": list(forecast.quantiles),
        "values": forecast.values.tolist(),
        "backtest": [
            {
                "model": card.model.name,
                "pinball": None if math.isnan(card.pinball) else card.pinball,
                "coverage": {str(quantile): share for quantile, share in card.coverage.items()},
            }
            for card in outcome.scorecards
        ],
    }


def _print(outcome: Outcome, name: str, console: Console) -> None:
    console.print(_quantile_table(outcome.forecast, name))
    console.print(_score_table(outcome.scorecards, outcome.forecast))


def _quantile_table(forecast: Forecast, name: str) -> Table:
    table = Table(title=f"Demand after {name}, {forecast.unit}, by {forecast.model}")
    table.add_column("ahead", justify="right")
    for quantile in forecast.quantiles:
        table.add_column(f"p{quantile * 100:g}", justify="right")
    for end, row in zip(forecast.times, forecast.values, strict=True):
        table.add_row(_duration(end - forecast.origin), *(f"{value:.4g}" for value in row))
    return table


def _score_table(cards: Iterable[Scorecard], forecast: Forecast) -> Table:
    table = Table(title="At recent origins: pinball loss, and demand at or below each quantile")
    table.add_column("model")
    table.add_column("loss", justify="right")
    for quantile in forecast.quantiles:
        table.add_column(f"p{quantile * 100:g}", justify="right")
    for card in cards:
        shares = [card.coverage.get(quantile, math.nan) for quantile in forecast.quantiles]
        table.add_row(
            card.model.name, _known(card.pinball, ".4g"), *(_known(s, ".0%") for s in shares)
        )
    return table


def _known(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def _duration(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:g} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes} min"
