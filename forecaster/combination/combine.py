"""Combining: members asked, weighted and joined into calibrated quantiles at every origin."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecaster.combination.asking import Answer, Past, ask
from forecaster.combination.conformal import Prior, spread, track
from forecaster.combination.scales import restlessness, scales
from forecaster.combination.weights import buckets, losses, weigh
from forecaster.history import Floats, History
from forecaster.models.model import Model

# Of the highest root known: after a long silence a scale tells little, and tails would explode.
_BEYOND = 1.5


@dataclass(frozen=True, slots=True)
class Combination:
    """What the members say together, on the root scale, and how each of them did."""

    past: Past
    names: tuple[str, ...]
    weights: Floats  # members x horizons
    losses: Floats  # members x horizons; NaN where unknown
    quantiles: Floats  # origins x horizons x levels; the last origin is the present
    local: Floats  # how restless demand was at each origin

    highest: float  # root of the highest rate known

    @property
    def now(self) -> Floats:
        """The quantiles at the present origin, rising: horizons x levels."""
        possible = np.clip(self.quantiles[-1], 0.0, _BEYOND * self.highest)
        return np.maximum.accumulate(possible, axis=-1)


def combine(
    models: Sequence[Model], history: History, past: Past, levels: Floats, prior: Prior
) -> Combination:
    """Ask the models and join their answers, each by its weight at each horizon."""
    answers = ask(models, history, past)
    if not answers:
        raise ValueError("expected a model that can be fitted to so short a history")
    local = restlessness(history).local[past.origins]
    lost = losses(answers, past, np.broadcast_to(local[:, None], past.actual.shape))
    bucket = buckets(history.minutes(past.horizons))
    weights = weigh(lost, bucket, matured=float(past.matured.mean()))
    centre = _joined(answers, weights, levels)
    kinds = scales(history, past, centre.mean(axis=-1))
    quantiles = spread(past, centre, kinds, levels, prior)
    quantiles[-1] += track(past, quantiles, kinds[0], levels)
    names = tuple(answer.name for answer in answers)
    highest = float(np.nanmax(history.values))
    return Combination(past, names, weights, lost, quantiles, local, highest)


def _joined(answers: Sequence[Answer], weights: Floats, levels: Floats) -> Floats:
    """Return the weighted mean: origins x horizons x levels, or x 1 if all expect paths alone."""
    weighted = [w[:, None] * a.at(levels) for w, a in zip(weights, answers, strict=True)]
    widest = max(one.shape[-1] for one in weighted)
    return np.asarray(sum(np.broadcast_to(w, (*w.shape[:-1], widest)) for w in weighted))
