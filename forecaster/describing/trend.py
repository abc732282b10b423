"""How demand rises or falls from week to week, and how sure that is."""

import math
from dataclasses import dataclass

import numpy as np

from forecaster.demand.demand import Demand
from forecaster.history import Floats, Indices

_DAY = 86400.0
_WEEK = 7
_LEAST_DAYS = 5
_SURE = 0.01


@dataclass(frozen=True, slots=True)
class Trend:
    """The median slope between days, and the chance of an order like theirs without a trend."""

    per_week: float  # share of the mean
    chance: float  # two-sided; below 0.01 the trend counts
    days: int

    @property
    def is_sure(self) -> bool:
        """Whether days without a trend would hardly be ordered like this."""
        return self.chance < _SURE


def trend(demand: Demand) -> Trend | None:
    """Measure the trend of daily means; None of less than five days, or without any demand.

    From two weeks on only the same days of the week are compared, or Mondays would rise to
    Fridays in every week.
    """
    days = _daily_means(demand)
    known = np.flatnonzero(np.isfinite(days))
    if known.size < _LEAST_DAYS or not days[known].sum() > 0:
        return None
    earlier, later = _pairs(known, weekly=days.size >= 2 * _WEEK)
    if not earlier.size:
        return None
    rises = days[later] - days[earlier]
    slope = float(np.median(rises / (later - earlier)))
    groups = known % _WEEK if days.size >= 2 * _WEEK else known * 0
    spread = math.sqrt(sum(_variance(int(count)) for count in np.bincount(groups)))
    order = max(0.0, abs(float(np.sign(rises).sum())) - 1.0)
    chance = math.erfc(order / spread / math.sqrt(2.0)) if spread else 1.0
    return Trend(_WEEK * slope / float(days[known].mean()), chance, int(known.size))


def _daily_means(demand: Demand) -> Floats:
    """Return the mean of each whole day up to the end; NaN where less than half of it is known."""
    per_day = max(1, round(_DAY / demand.step))
    rates = demand.telling
    count = rates.size // per_day
    rows = rates[rates.size - count * per_day :].reshape(count, per_day)
    known = np.isfinite(rows)
    total = np.where(known, rows, 0.0).sum(axis=1)
    return np.where(
        2 * known.sum(axis=1) >= per_day, total / np.maximum(known.sum(axis=1), 1), np.nan
    )


def _pairs(known: Indices, *, weekly: bool) -> tuple[Indices, Indices]:
    """Return the earlier and the later day of each pair that is compared."""
    first, second = np.triu_indices(known.size, 1)
    earlier, later = known[first], known[second]
    if not weekly:
        return earlier, later
    same = (later - earlier) % _WEEK == 0
    return earlier[same], later[same]


def _variance(count: int) -> float:
    """Return the variance of Kendall's sum of signs over so many values without a trend."""
    return count * (count - 1) * (2 * count + 5) / 18.0
