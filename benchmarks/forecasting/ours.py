"""Warmfront's own forecasts, as the product makes them, in processes of one thread each."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from peers.forecasters import QUANTILES
from peers.worker import ONE_THREAD

from forecaster import roster
from forecaster.demand.demand import Demand
from forecaster.history import History
from forecaster.pipeline import ForecastSettings, make_forecast
from forecasting.tested import Floats, Tested
from telemetry.series import Series

PROCESSES = 2
MISSING_SHARE = 0.2
MISSING_MINUTES = (35, 5)  # the gap begins and ends so long before the origin


@dataclass(frozen=True, slots=True)
class Task:
    """One forecast: of which series, after which step, by all members or by one alone."""

    series: int
    origin: int
    member: str | None = None
    masked: int | None = None  # the seed by which demand is made missing


@dataclass(frozen=True, slots=True)
class Forecasted:
    """Counts of each step ahead at `QUANTILES`, and the CPU time that they took."""

    values: Floats
    seconds: float


def one_thread() -> None:
    """Let the numerical libraries of the processes to come compute with one thread."""
    os.environ.update(ONE_THREAD)


def processes(tested: Sequence[Tested], horizon: int) -> ProcessPoolExecutor:
    """Return processes that know the series and have forecast once: `forecast` runs there."""
    return ProcessPoolExecutor(
        PROCESSES,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(tuple(tested), horizon),
    )


def forecast_all(
    tested: Sequence[Tested], tasks: Sequence[Task], *, horizon: int
) -> list[Forecasted | None]:
    """Make the forecasts, in the order of the tasks; None for a member that cannot."""
    with processes(tested, horizon) as pool:
        return list(pool.map(forecast, tasks, chunksize=4))


def forecast(task: Task) -> Forecasted | None:
    """Make one forecast in a process that has begun; None for a member that cannot."""
    series, horizon = known(task.series), _known[1]
    demand = seen(series, task.origin)
    if task.masked is not None:
        demand = with_gaps(demand, np.random.default_rng([task.masked, task.series, task.origin]))
    settings = settings_of(series, horizon)
    models = [model for model in roster.cheap() if model.name == task.member] or None
    if models and not models[0].can_fit(_history(demand, series)):
        return None
    began = time.process_time()
    outcome = make_forecast(demand, settings, models=models)
    seconds = time.process_time() - began
    if outcome is None:
        raise RuntimeError(f"no forecast of {series.name} after step {task.origin}")
    chosen = [outcome.forecast.quantiles.index(level) for level in QUANTILES]
    return Forecasted(outcome.forecast.values[:, chosen] * demand.step, seconds)


def known(series: int) -> Tested:
    """Return a series that this process was begun with."""
    return _known[0][series]


def settings_of(series: Tested, horizon: int) -> ForecastSettings:
    """Return the settings of the product for the grid of a series."""
    return ForecastSettings(series.demand.step, series.season, horizon)


def seen(series: Tested, origin: int) -> Demand:
    """Return the demand that the product would look at."""
    history = settings_of(series, 1).history_steps
    return series.demand.part(max(0, origin + 1 - history), origin + 1)


def with_gaps(demand: Demand, generator: np.random.Generator) -> Demand:
    """Return the demand with a share of its steps missing, and a gap shortly before the origin."""
    begins, ends = (demand.size - round(60 * ago / demand.step) for ago in MISSING_MINUTES)
    lost = generator.random(demand.size) < MISSING_SHARE
    lost[begins:ends] = True

    def without(series: Series | None) -> Series | None:
        return series and replace(series, values=np.where(lost, np.nan, series.values))

    return replace(
        demand,
        rate=replace(demand.rate, values=np.where(lost, np.nan, demand.rate.values)),
        input_tokens=without(demand.input_tokens),
        output_tokens=without(demand.output_tokens),
    )


def _history(demand: Demand, series: Tested) -> History:
    return History.of_rates(demand.telling, step=demand.step, season=series.season)


_known: tuple[tuple[Tested, ...], int] = ((), 0)  # of a process that has begun


def _begin(tested: tuple[Tested, ...], horizon: int) -> None:
    global _known  # noqa: PLW0603 - how a process of a pool is told once
    _known = (tested, horizon)
    if tested:
        forecast(Task(0, tested[0].first - 1))
