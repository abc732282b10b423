"""Asking: what each member expected at past origins, and what came."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecaster.history import Floats, History, Indices
from forecaster.models.model import Model

_JUDGED_SEASONS = 4  # older errors tell of another time
_MOST_ORIGINS = 700  # of so many, each costs 20 µs and tells little more than its neighbours
_HALF_LIFE_SEASONS = 2.0
_HORIZONS = 13  # that are asked for; between them quantiles are straight


@dataclass(frozen=True, slots=True)
class Past:
    """The origins that members are judged at, and what came after them.

    The last origin is the present one, after which nothing is known yet.
    """

    origins: Indices
    horizons: Indices
    actual: Floats  # origins x horizons, root scale; NaN where nothing is known
    recency: Floats  # weight of each origin

    @classmethod
    def of(cls, history: History, *, first: int, last: int) -> "Past":
        """Return the past for horizons from `first` to `last` steps; gaps are no origins."""
        present = history.size - 1
        reach = min(present, _JUDGED_SEASONS * history.season)
        spacing = max(1, -(-reach // _MOST_ORIGINS))
        origins = np.arange(present, present - reach, -spacing)[::-1]
        origins = origins[history.known[origins]]
        horizons = np.unique(np.round(np.geomspace(first, last, _HORIZONS)).astype(np.int64))
        age = (present - origins) / history.season
        recency = 0.5 ** (age / _HALF_LIFE_SEASONS)
        return cls(origins, horizons, history.after(origins, horizons), recency)

    @property
    def count(self) -> int:
        """Number of origins."""
        return int(self.origins.size)

    @property
    def matured(self) -> Indices:
        """How many errors are known at each horizon."""
        return np.asarray(np.isfinite(self.actual).sum(axis=0))

    @property
    def told(self) -> Floats:
        """How many errors each horizon rests on, were they independent: overlapping ones are not.

        At least one, so that it can be divided by.
        """
        span = float(self.origins[-1] - self.origins[0]) if self.count > 1 else 1.0
        spacing = span / max(self.count - 1, 1)
        return np.maximum(self.matured * np.minimum(1.0, 4.0 * spacing / self.horizons), 1.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one member expected: origins x horizons x levels, root scale."""

    name: str
    levels: tuple[float, ...]
    paths: Floats

    def at(self, quantiles: Floats) -> Floats:
        """Return what is expected at each quantile: the last axis is one for a path alone."""
        if len(self.levels) == 1:
            return self.paths
        own = np.asarray(self.levels)
        upper = np.clip(np.searchsorted(own, quantiles), 1, own.size - 1)
        share = np.clip((quantiles - own[upper - 1]) / (own[upper] - own[upper - 1]), 0.0, 1.0)
        lower = self.paths[..., upper - 1] * (1.0 - share)
        return np.asarray(lower + self.paths[..., upper] * share)


def ask(models: Sequence[Model], history: History, past: Past) -> list[Answer]:
    """Ask each model that the history is long enough for."""
    answers = []
    for model in models:
        if model.can_fit(history):
            fitted = model.fit(history)
            paths = fitted.paths(past.origins, past.horizons)
            answers.append(Answer(model.name, tuple(fitted.levels), paths))
    return answers
