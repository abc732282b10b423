"""What a warm pool pays: replicas chosen ahead of demand, billed by what they idle and miss.

A decision looks at demand up to its origin; its replicas are ready `lead` seconds later and stand
for `every` seconds. Counts of replicas are arrays whose last axis is the decisions, so that many
rules are billed at once.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from forecaster.demand.demand import Demand
from forecaster.history import Floats, Indices

BETAS = (3.0, 10.0, 30.0, 100.0)  # what a missing replica-minute costs in idle ones
LEADS = (60.0, 300.0, 900.0)  # seconds from deciding to serving
FULL_POOL = 20  # replicas that serve the training p99
_PEAK = 0.99
_ROUNDING = 1e-9


class Need(StrEnum):
    """How many replicas a window needs."""

    EACH_MINUTE = "each minute"  # each step's own number
    HIGHEST_MINUTE = "highest minute"  # the highest step's, all the window long


@dataclass(frozen=True, slots=True)
class Pool:
    """Replicas of one kind, how much one serves, and when they are decided on."""

    capacity: float  # of one replica, in the demand's unit
    lead: float = 300.0  # seconds from deciding to serving
    every: float = 300.0  # seconds from one decision to the next

    def __post_init__(self) -> None:
        if not self.capacity > 0 or self.lead < 0 or self.every <= 0:
            raise ValueError(
                f"expected a capacity above 0, a lead of 0 s or more and decisions more than 0 s "
                f"apart, got {self.capacity}, {self.lead} s and {self.every} s"
            )

    @classmethod
    def sized(cls, training: Floats, *, lead: float = 300.0, every: float = 300.0) -> "Pool":
        """Return the pool of which `FULL_POOL` replicas serve the p99 of the training demand."""
        peak = float(np.nanquantile(training, _PEAK))
        return cls(peak / FULL_POOL, lead, every)

    def replicas(self, rates: Floats) -> Floats:
        """Return how many replicas serve these rates; NaN where a rate is not known."""
        return np.asarray(np.ceil(rates / self.capacity - _ROUNDING))


@dataclass(frozen=True, slots=True)
class Replay:
    """One demand's decisions: from where each is made, and what its replicas then had to serve."""

    demand: Demand
    pool: Pool
    origins: Indices  # of the last steps looked at
    asked: Floats  # rates, decisions x steps of their window; NaN is a gap

    @property
    def step_minutes(self) -> float:
        """Minutes in one step."""
        return self.demand.step / 60.0

    def needed(self, need: Need = Need.EACH_MINUTE) -> Floats:
        """Return the replicas needed, decisions x steps; NaN at gaps."""
        needed = self.pool.replicas(self.asked)
        if need is Need.EACH_MINUTE:
            return needed
        highest = np.where(np.isnan(needed), -np.inf, needed).max(axis=1, keepdims=True)
        return np.where(np.isnan(needed), np.nan, highest)


def replay(demand: Demand, pool: Pool, *, first: int) -> Replay:
    """Lay out the decisions from step `first` on whose windows the demand covers."""
    lead = int(pool.lead / demand.step + _ROUNDING)
    window = max(1, round(pool.every / demand.step))
    origins = np.arange(first, demand.size - lead - window, window, dtype=np.int64)
    ahead = lead + np.arange(1, window + 1)
    return Replay(demand, pool, origins, demand.rate.values[origins[:, None] + ahead])


@dataclass(frozen=True, slots=True)
class Bill:
    """What one choice of replicas came to, in replica-minutes; gaps in demand are not billed."""

    idle: float
    unmet: float
    needed: float
    changes: float  # replicas started or stopped
    starts: float  # replicas started
    hit_rate: float  # share of the minutes that found every replica they needed warm
    by_decision: tuple[Floats, Floats]  # idle and unmet

    def cost(self, beta: float) -> float:
        """Return idle replica-minutes plus `beta` for each one unmet."""
        return self.idle + beta * self.unmet

    def costs(self, beta: float) -> Floats:
        """Return the cost of each decision."""
        return self.by_decision[0] + beta * self.by_decision[1]


def bill(replicas: Floats, played: Replay, need: Need = Need.EACH_MINUTE) -> Bill:
    """Bill one number of replicas for each decision."""
    needed = played.needed(need)
    idle, unmet = _missed(replicas, needed)
    minutes = played.step_minutes
    known = np.isfinite(needed)
    warm = known & ~(unmet > 0)
    changes = np.diff(replicas)
    return Bill(
        idle=float(np.nansum(idle)) * minutes,
        unmet=float(np.nansum(unmet)) * minutes,
        needed=float(np.nansum(needed)) * minutes,
        changes=float(np.abs(changes).sum()),
        starts=float(np.maximum(changes, 0.0).sum()),
        hit_rate=float(warm.sum() / known.sum()) if known.any() else float("nan"),
        by_decision=(np.nansum(idle, axis=1) * minutes, np.nansum(unmet, axis=1) * minutes),
    )


def cost(replicas: Floats, played: Replay, beta: float, need: Need = Need.EACH_MINUTE) -> Floats:
    """Return the costs of many choices at once: any axes, the last one the decisions."""
    idle, unmet = _missed(replicas, played.needed(need))
    each = np.nansum(idle, axis=-1) + beta * np.nansum(unmet, axis=-1)
    return np.asarray(each.sum(axis=-1) * played.step_minutes)


def foresight(played: Replay, beta: float, need: Need = Need.EACH_MINUTE) -> Floats:
    """Return the replicas of who knows demand: in each window the number that costs least."""
    needed = np.sort(played.needed(need), axis=1)  # gaps last
    known = np.isfinite(needed).sum(axis=1)
    rank = np.ceil(decision_level(beta) * known - _ROUNDING).astype(np.int64)
    chosen = np.take_along_axis(needed, np.clip(rank - 1, 0, None)[:, None], axis=1)[:, 0]
    return held(chosen)


def decision_level(beta: float) -> float:
    """Return the quantile of demand at which one replica more costs what it saves."""
    return beta / (1.0 + beta)


def held(replicas: Floats, start: float = FULL_POOL) -> Floats:
    """Return the replicas, kept as they were where a decision says nothing (NaN)."""
    said = np.where(np.isfinite(replicas), np.arange(replicas.size), -1)
    latest = np.maximum.accumulate(said)
    return np.where(latest >= 0, replicas[np.maximum(latest, 0)], start)


def _missed(replicas: Floats, needed: Floats) -> tuple[Floats, Floats]:
    """Return what idles and what is unmet in each step; NaN at gaps."""
    spare = replicas[..., None] - needed
    return np.maximum(spare, 0.0), np.maximum(-spare, 0.0)
