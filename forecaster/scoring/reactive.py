"""The rules that a forecaster must beat: replicas from what was just asked, tuned in hindsight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from forecaster.history import Floats
from forecaster.scoring.warm_pool import FULL_POOL, Need, Replay, cost, held


@dataclass(frozen=True, slots=True)
class Rule:
    """The mean of the last so many minutes, times a factor, plus spare replicas."""

    minutes: float
    factor: float
    spare: float = 0.0

    @property
    def name(self) -> str:
        """The rule in words."""
        spare = f" + {self.spare:g}" if self.spare else ""
        return f"mean of {self.minutes:g} min x {self.factor:.3g}{spare}"

    def replicas(self, played: Replay) -> Floats:
        """Return the replicas for each decision."""
        return held(played.pool.replicas(_recent(played, self.minutes) * self.factor) + self.spare)


HPA = Rule(5.0, 1.0 / 0.7)  # a horizontal autoscaler that aims at 70 % utilisation
LAST_VALUE = Rule(0.0, 1.2)  # the last step, and a fifth on top
DYNAMO = Rule(3.0, 1.0)  # Dynamo's constant predictor: the last interval comes again

PEERS: Mapping[str, Rule] = {
    "HPA-like, 5-min mean / 0.7": HPA,
    "last value + 20 %": LAST_VALUE,
    "Dynamo constant, 3-min": DYNAMO,
}


def static(played: Replay) -> Floats:
    """Return the full pool for each decision: what serves the training p99."""
    return np.full(played.origins.size, float(FULL_POOL))


@dataclass(frozen=True, slots=True)
class Family:
    """All rules among which hindsight chooses."""

    minutes: tuple[float, ...] = (0.0, 3.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0)
    factors: tuple[float, ...] = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 2.0, 2.5, 3.0)
    spares: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule, in the order of `costs`."""
        return tuple(Rule(*one) for one in product(self.minutes, self.factors, self.spares))

    def costs(self, played: Replay, beta: float, need: Need = Need.EACH_MINUTE) -> Floats:
        """Return what each rule costs on one demand."""
        size = len(self.factors) * len(self.spares)
        replicas = [rule.replicas(played) for rule in self.rules]
        chunks = [np.stack(replicas[at : at + size]) for at in range(0, len(replicas), size)]
        return np.concatenate([cost(chunk, played, beta, need) for chunk in chunks])


@dataclass(frozen=True, slots=True)
class Hindsight:
    """The best rules of a family, chosen by who knows how it went."""

    single: Rule  # the best one for all demands together
    single_costs: tuple[float, ...]  # on each demand
    each: tuple[Rule, ...]  # the best one for each demand
    each_costs: tuple[float, ...]


_FAMILY = Family()
_LEAST_COST = 1.0  # replica-minutes: a rule that costs nothing is no better than this


def tune(
    replays: Sequence[Replay],
    beta: float,
    *,
    need: Need = Need.EACH_MINUTE,
    family: Family = _FAMILY,
) -> Hindsight:
    """Return the rule of the least geometric mean cost over all demands, and that for each one."""
    costs = np.array([family.costs(played, beta, need) for played in replays])
    shared = int(np.log(np.maximum(costs, _LEAST_COST)).mean(axis=0).argmin())
    best = costs.argmin(axis=1)
    rules = family.rules
    return Hindsight(
        rules[shared],
        tuple(costs[:, shared].tolist()),
        tuple(rules[at] for at in best.tolist()),
        tuple(costs.min(axis=1).tolist()),
    )


def _recent(played: Replay, minutes: float) -> Floats:
    """Return the mean rate known in the last minutes before each decision; NaN where none is."""
    window = max(1, round(minutes / played.step_minutes))
    values = played.demand.rate.values
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    ends = played.origins + 1
    begins = np.maximum(ends - window, 0)
    count = counts[ends] - counts[begins]
    mean = (sums[ends] - sums[begins]) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)
