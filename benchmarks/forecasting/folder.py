"""The series of a folder: those by the minute, and those by ten minutes, which are all real."""

import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from report import fail

from forecaster.demand.demand import Demand, DemandError
from forecaster.demand.sources import read_demand_of
from forecasting.tested import DAY_SECONDS, Tested

MINUTE = 60.0
WINDOW = 600.0
LEAST_DAYS = 2
_TENANTS = 2  # the largest ones of a fleet are tested on their own
_FIRST_DAYS = {"nasa": 20, "servegen": 9}  # named by the protocol
_HALVES = ("burstgpt",)
_NOTHING = 0.01  # of what is usual
_PREFIXES = ("min1_", "win10_")
_SUFFIXES = (".csv", ".csv.gz")


@dataclass(frozen=True, slots=True)
class Found:
    """The series with steps of one length: those tested, and the names of those left out."""

    tested: Sequence[Tested]
    short: Sequence[str]
    unread: Sequence[str]


def find(folder: Path, step: float) -> Found:
    """Return the series of a folder that have steps of so many seconds, or shorter ones."""
    paths = sorted(path for path in folder.glob("*") if path.name.endswith(_SUFFIXES))
    if not paths:
        fail(f"expected series as .csv or .csv.gz in {folder}, and saw none")
    tested, short, unread = [], [], []
    for path in paths:
        try:
            demands = list(_demands(path))
        except DemandError as error:
            unread.append(str(error))
            continue
        for demand in demands:
            if demand.step != step:
                continue
            if demand.size * demand.step < LEAST_DAYS * DAY_SECONDS:
                short.append(demand.name)
            else:
                tested.append(Tested(demand.name, demand, _first(demand)))
    return Found(tested, short, unread)


def by_the_minute(folder: Path) -> Sequence[Tested]:
    """Return the series by the minute, of which there must be one."""
    tested = find(folder, MINUTE).tested
    if not tested:
        fail(f"expected a series by the minute of {LEAST_DAYS} days or more in {folder}")
    return tested


def _first(demand: Demand) -> int:
    """Return the first step that is tested."""
    day = round(DAY_SECONDS / demand.step)
    if any(part in demand.name for part in _HALVES):
        return demand.size // 2
    for part, days in _FIRST_DAYS.items():
        if part in demand.name and demand.size > (days + 1) * day:
            return days * day
    return 3 * demand.size // 5


def _demands(path: Path) -> Iterator[Demand]:
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    tenants = [column for column in _header(path) if column[0] == "c" and column[1:].isdigit()]
    if tenants:
        yield from _largest(path, name.split("_top", maxsplit=1)[0], tenants)
        return
    demand = read_demand_of(path)
    if demand.step < MINUTE:
        demand = read_demand_of(path, step=MINUTE)
    yield replace(demand, name=name)


def _header(path: Path) -> list[str]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return next(csv.reader(file), [])


def _largest(path: Path, fleet: str, tenants: Sequence[str]) -> Iterator[Demand]:
    """Yield the largest tenants of a fleet; where all are at next to nothing, nobody looked."""
    demands = [read_demand_of(path, column=tenant) for tenant in tenants]
    rates = np.array([demand.rate.values for demand in demands])
    together = np.nansum(rates, axis=0)
    rates[:, together < _NOTHING * np.median(together)] = np.nan
    for at in np.argsort(-np.nanmean(rates, axis=1))[:_TENANTS]:
        rate = replace(demands[at].rate, values=rates[at])
        yield replace(demands[at], name=f"{fleet} {tenants[at]}", rate=rate)
