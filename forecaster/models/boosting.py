"""Boosted trees by scikit-learn: quantiles from levels, lags, profiles and the calendar.

Trees have room enough to know the days they saw by heart. So there are two forests, one grown
on even days and one on odd ones, and each answers for the days that the other has seen: every
past origin is judged honestly, at the cost of one training. Days after the training are new to
both, and answered by their mean.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from forecaster.history import History, Mask
from forecaster.models.extras import require
from forecaster.models.features import Features
from forecaster.models.model import Floats, Indices

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)

_AHEAD_MINUTES = 60.0
_LEAST_SEASONS = 3
_LEAST_ROWS = 60  # for each forest
_MOST_ROWS = 16_000  # for both: more take longer and say little more
_ROWS_PER_STEP = 4
_SHAPE = {"learning_rate": 0.1, "max_leaf_nodes": 15, "min_samples_leaf": 40}

Forest = tuple[Any, ...]  # one regressor for each quantile

NAME = "boosted quantiles"
NEEDED = ("sklearn", "threadpoolctl")


@dataclass(frozen=True, slots=True)
class BoostedQuantiles:
    """Expects what trees have learnt to follow from the recent past and the time of day.

    Training takes seconds: it belongs off the path of decisions, once a day at most.
    """

    name: str = NAME
    quantiles: tuple[float, ...] = QUANTILES
    trees: int = 50  # for each quantile of each forest
    seed: int = 0

    def __post_init__(self) -> None:
        require(NEEDED, model=self.name, install="warmfront[boosting]")

    def can_fit(self, history: History) -> bool:
        """Tell whether there is a day for lags, and a day with values for either forest."""
        if history.size < _LEAST_SEASONS * history.season:
            return False
        even = Features(history, 1).day(np.arange(history.size)) % 2 == 0
        return all(int(history.known[days].sum()) >= _LEAST_ROWS for days in (even, ~even))

    def fit(self, history: History) -> "FittedForests":
        """Grow the two forests, which takes seconds."""
        ahead = min(history.steps(_AHEAD_MINUTES), history.season - 1)
        features = Features(history, ahead)
        origins, horizons = self._questions(history, ahead)
        rows = _splittable(features.rows(origins, horizons))
        answers = history.values[origins + horizons] - features.base(origins)
        days = features.day(origins + horizons)
        with one_thread():
            even, odd = (self._grow(rows[half], answers[half]) for half in _halves(days))
        last = int(features.day(np.array([history.size - 1]))[0])
        return FittedForests(history, even, odd, last, self.quantiles)

    def _questions(self, history: History, ahead: int) -> tuple[Indices, Indices]:
        """Return origins and horizons, drawn evenly, whose answers are known."""
        draws = np.random.default_rng(self.seed)
        count = min(_MOST_ROWS, _ROWS_PER_STEP * history.size)
        known = np.flatnonzero(history.known[ahead:]) + ahead
        targets = draws.choice(known, count) if known.size else known
        # short horizons differ most from one another
        horizons = np.rint(np.exp(draws.uniform(0.0, np.log(ahead + 0.5), count))).astype(np.int64)
        return targets - np.clip(horizons, 1, ahead), np.clip(horizons, 1, ahead)

    def _grow(self, rows: Floats, answers: Floats) -> Forest:
        # Imported here: it takes a second, and is an extra.
        from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: PLC0415

        return tuple(
            HistGradientBoostingRegressor(
                loss="quantile",
                quantile=quantile,
                max_iter=self.trees,
                early_stopping=False,
                random_state=self.seed,
                **_SHAPE,
            ).fit(rows, answers)
            for quantile in self.quantiles
        )


@dataclass(frozen=True, slots=True)
class FittedForests:
    """The two forests, and a history to ask them about: the one they grew on, or a later one."""

    history: History
    even: Forest
    odd: Forest
    last: int  # the last day that either has seen
    levels: tuple[float, ...]

    def at(self, history: History) -> "FittedForests":
        """Return the same forests, to be asked about another history on the same grid."""
        return replace(self, history=history)

    def paths(self, origins: Indices, horizons: Indices) -> Floats:
        """Return the quantiles, from the forest that has not seen the day, or from both."""
        features = Features(self.history, int(horizons.max()))
        pairs = np.repeat(origins, horizons.size), np.tile(horizons, origins.size)
        rows, days = features.rows(*pairs), features.day(pairs[0] + pairs[1])
        even, odd = _halves(days)
        new = days > self.last
        with one_thread():
            from_odd = _ask(self.odd, rows, even | new)
            from_even = _ask(self.even, rows, odd | new)
        above = np.where(new[:, None], (from_odd + from_even) / 2.0, from_odd + from_even)
        path = np.maximum(features.base(pairs[0])[:, None] + np.sort(above, axis=1), 0.0)
        return np.asarray(path.reshape(origins.size, horizons.size, len(self.levels)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep trees from taking every core from whatever else runs beside them."""
    # A limit holds for what is loaded already: without the first, the first training has none.
    import sklearn.ensemble  # noqa: F401, PLC0415 - takes a second, and is an extra
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - an extra

    with threadpool_limits(limits=1):
        yield


def _halves(days: Indices) -> tuple[Mask, Mask]:
    return days % 2 == 0, days % 2 == 1


def _splittable(rows: Floats) -> Floats:
    """Return the rows with a constant where a feature is known in none: binning wants a value."""
    return np.where(np.isfinite(rows).any(axis=0), rows, 0.0)


def _ask(forest: Forest, rows: Floats, asked: Mask) -> Floats:
    """Return each quantile for the rows asked for, zero elsewhere."""
    answers = np.zeros((rows.shape[0], len(forest)))
    if asked.any():
        answers[asked] = np.stack([tree.predict(rows[asked]) for tree in forest], axis=1)
    return answers
