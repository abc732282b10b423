"""A thousand models: how long a machine takes to forecast them all, and with how much memory."""

import os
import resource
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from report import Row

from forecaster.demand.demand import REQUESTS, Demand
from forecaster.pipeline import make_forecast
from forecasting import folder, ours
from forecasting.tested import Floats, Tested
from telemetry.series import Series, Window

SERIES = 1000
QUICK_SERIES = 100
DAYS = 14
SECONDS_BAR = 60.0
MEBIBYTES_BAR = 1024.0
_HORIZON = 60
_NOISE = 0.1  # of the logarithm, by which one made-up model differs from the next


@dataclass(frozen=True, slots=True)
class Used:
    """What one forecast took, and the highest memory of its process so far."""

    process: int
    cpu_seconds: float
    mebibytes: float


def measure(options: Namespace) -> Iterator[Row]:
    """Forecast made-up models whose days are those of the folder's series, scaled and noisy."""
    tested = folder.by_the_minute(Path(options.folder))
    count = QUICK_SERIES if options.quick else SERIES
    with ours.processes(tested, _HORIZON) as pool:
        list(pool.map(_one, [(0, 0)] * 2 * ours.PROCESSES))  # all have started
        began = time.monotonic()
        tasks = [(number % len(tested), options.seed + number) for number in range(count)]
        used = list(pool.map(_one, tasks, chunksize=8))
        seconds = time.monotonic() - began
    subject = f"{ours.PROCESSES} processes, {DAYS} days by the minute each"
    scaled = "" if count == SERIES else f", {count} of them times {SERIES // count}"
    figure = f"{SERIES} models forecast{scaled}"
    yield Row(figure, subject, seconds * SERIES / count, "s", SECONDS_BAR)
    cpu = sum(one.cpu_seconds for one in used) / ours.PROCESSES * SERIES / count
    yield Row("of these, CPU time on each core", subject, cpu, "s")
    memory = sum({one.process: one.mebibytes for one in used}.values())
    yield Row("memory at its highest", subject, memory, "MiB", MEBIBYTES_BAR)


def made_up(series: Tested, generator: np.random.Generator) -> Demand:
    """Return a demand of days drawn from a series, at another scale and with noise."""
    rates = series.demand.rate.values
    days = rates[: rates.size // series.season * series.season].reshape(-1, series.season)
    drawn = days[generator.integers(0, days.shape[0], DAYS)].ravel()
    scale = np.exp(generator.normal(0.0, 1.0))
    noisy: Floats = drawn * scale * np.exp(generator.normal(0.0, _NOISE, drawn.size))
    noisy[-1] = np.nanmean(noisy) if np.isnan(noisy[-1]) else noisy[-1]
    window = Window(series.demand.step, series.demand.step * drawn.size, series.demand.step)
    return Demand(series.name, Series({}, window, noisy), unit=REQUESTS)


def _one(task: tuple[int, int]) -> Used:
    number, seed = task
    series = ours.known(number)
    began = time.process_time()
    demand = made_up(series, np.random.default_rng(seed))
    make_forecast(demand, ours.settings_of(series, _HORIZON))
    cpu = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Used(os.getpid(), cpu, peak)
