"""How demand varies in the short: gaps, zeros, bursts, and what an hour ago still tells."""

from dataclasses import dataclass

import numpy as np

from forecaster.demand.demand import REQUESTS, Demand
from forecaster.history import Floats

_HOUR = 3600.0
_FEW = 10  # pairs that tell no correlation yet


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is not known of demand."""

    share: float
    longest_minutes: float


@dataclass(frozen=True, slots=True)
class Burstiness:
    """How demand varies from step to step; NaN where that cannot be told."""

    dispersion: float  # variance over mean of counts around their level; 1 is a Poisson process
    peak: float  # p99 over the median
    hour_correlation: float  # of demand with demand an hour before


def gaps(demand: Demand) -> Gaps:
    """Measure the gaps."""
    missing = ~np.isfinite(demand.rate.values)
    ends = np.flatnonzero(~np.pad(missing, (0, 1)))
    longest = int(np.diff(ends, prepend=-1).max()) - 1
    return Gaps(float(missing.mean()), longest * demand.step / 60.0)


def share_of_zeros(demand: Demand) -> float:
    """Return the share of known steps in which nothing was asked."""
    rates = demand.rate.values
    known = rates[np.isfinite(rates)]
    return float((known == 0).mean()) if known.size else float("nan")


def burstiness(demand: Demand) -> Burstiness:
    """Measure how demand varies from step to step."""
    rates = demand.rate.values
    known = rates[np.isfinite(rates)]
    if not known.size:
        return Burstiness(float("nan"), float("nan"), float("nan"))
    median = float(np.median(known))
    peak = float(np.quantile(known, 0.99)) / median if median > 0 else float("nan")
    return Burstiness(_dispersion(demand), peak, _correlation(rates, round(_HOUR / demand.step)))


def _dispersion(demand: Demand) -> float:
    """Return it around the line from the step before to the step after: a slope is no burst."""
    counts = demand.rate.values * demand.step
    change = np.diff(counts, 2)
    change = change[np.isfinite(change)]
    mean = float(counts[np.isfinite(counts)].mean())
    if demand.unit != REQUESTS or not change.size or mean <= 0:
        return float("nan")
    return float((change**2).mean() / 6.0 / mean)


def _correlation(rates: Floats, lag: int) -> float:
    if not 0 < lag < rates.size:
        return float("nan")
    before, after = rates[:-lag], rates[lag:]
    both = np.isfinite(before) & np.isfinite(after)
    if both.sum() < _FEW or np.ptp(before[both]) == 0 or np.ptp(after[both]) == 0:
        return float("nan")
    return float(np.corrcoef(before[both], after[both])[0, 1])
