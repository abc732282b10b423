"""Foundation models behind the models' contract: found by entry point, asked at few origins."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

import numpy as np

from forecaster.history import History
from forecaster.models.extras import ModelError
from forecaster.models.model import Floats, Indices

GROUP = "warmfront.forecasters"  # an entry point names a callable that returns the model
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

_LEVEL_MINUTES = 5.0
_LEAST_STEPS = 32
_MOST_ORIGINS = 32  # one forecast takes such models about as long as all others take for all
_BATCH = 64


class FoundationModel(Protocol):
    """A model that was trained on other series, and continues any series without learning it."""

    @property
    def name(self) -> str:
        """Short name for tables and labels."""
        ...

    @property
    def context(self) -> int:
        """How many steps it looks back at most."""
        ...

    def quantiles(
        self, contexts: Sequence[Floats], horizon: int, levels: Sequence[float]
    ) -> Floats:
        """Continue each context, which has no gaps: contexts x horizon x levels."""
        ...


@dataclass(frozen=True, slots=True)
class Echo:
    """The fake: what came one `season` ago comes again, at every level."""

    season: int
    name: str = "echo"
    context: int = 4096

    def quantiles(
        self, contexts: Sequence[Floats], horizon: int, levels: Sequence[float]
    ) -> Floats:
        """Return the end of each context over and over."""
        ends = [np.resize(context[-self.season :], horizon) for context in contexts]
        return np.repeat(np.stack(ends)[..., None], len(levels), axis=2)


@dataclass(frozen=True, slots=True)
class Foundation:
    """A foundation model under the contract of a model, on the root scale."""

    model: FoundationModel
    most_origins: int = _MOST_ORIGINS
    quantiles: tuple[float, ...] = LEVELS

    @property
    def name(self) -> str:
        """Short name for tables and labels."""
        return self.model.name

    def can_fit(self, history: History) -> bool:
        """Tell whether there are enough values to continue."""
        return int(history.known.sum()) >= _LEAST_STEPS

    def fit(self, history: History) -> "FoundationPaths":
        """Learn nothing: the model sees the history when it is asked."""
        return FoundationPaths(self.model, history, self.most_origins, self.quantiles)


@dataclass(frozen=True, slots=True)
class FoundationPaths:
    """What a foundation model expects at origins of a history.

    Asked for more than `most` origins, it asks the model at some, the last one always. In
    between, the path of the last origin asked goes on, moved to the level seen since.
    """

    model: FoundationModel
    history: History
    most: int
    levels: tuple[float, ...]

    def at(self, history: History) -> "FoundationPaths":
        """Return the same model, to be asked about another history."""
        return replace(self, history=history)

    def paths(self, origins: Indices, horizons: Indices) -> Floats:
        """Return the quantiles at each origin."""
        asked = spread_out(np.unique(origins), self.most)
        chosen = np.searchsorted(asked, origins, side="right") - 1
        waited = origins - asked[chosen]
        told = self._asked(asked, int(horizons.max()) + int(waited.max()))
        ahead = waited[:, None] + horizons
        path = told[chosen[:, None], ahead] + self._moved(told, chosen, origins, waited)
        return np.asarray(np.maximum(np.sort(path, axis=-1), 0.0))

    def _asked(self, origins: Indices, horizon: int) -> Floats:
        """Return the paths from each origin on; the one at the origin is its level."""
        contexts = [interpolated(self.history, int(o), self.model.context) for o in origins]
        batches = [
            self.model.quantiles(contexts[begin : begin + _BATCH], horizon, self.levels)
            for begin in range(0, len(contexts), _BATCH)
        ]
        told = np.concatenate(batches)
        expected = (origins.size, horizon, len(self.levels))
        if told.shape != expected or not np.isfinite(told).all():
            raise ModelError(
                f"the model {self.model.name!r} answered with shape {told.shape} or with values "
                f"that are no numbers, where {expected} finite numbers were expected: it cannot "
                "be used"
            )
        level = np.broadcast_to(
            self._level[origins][:, None, None], (origins.size, 1, len(self.levels))
        )
        return np.concatenate([level, told], axis=1)

    def _moved(self, told: Floats, chosen: Indices, origins: Indices, waited: Indices) -> Floats:
        """Return how far the level at each origin is from what was told for it."""
        middle = told[chosen, waited, len(self.levels) // 2]
        return np.where(waited > 0, self._level[origins] - middle, 0.0)[:, None, None]

    @property
    def _level(self) -> Floats:
        return self.history.mean(self.history.steps(_LEVEL_MINUTES))


def spread_out(origins: Indices, most: int) -> Indices:
    """Return up to `most` of the rising origins, evenly, with the first and the last."""
    if origins.size <= most:
        return origins
    index = np.rint(np.linspace(0, origins.size - 1, max(most, 2))).astype(np.int64)
    return origins[index]


def interpolated(history: History, origin: int, context: int) -> Floats:
    """Return the values up to the origin, gaps filled by straight lines for such models alone.

    A gap that reaches the origin is filled with the value before it: what comes after is not
    known there.
    """
    begin = max(0, origin + 1 - context)
    values = history.values[begin : origin + 1]
    known = np.flatnonzero(np.isfinite(values))
    if not known.size:
        return np.full(values.size, history.filled[origin])
    return np.asarray(np.interp(np.arange(values.size), known, values[known]))


def foundation_models(found: Iterable[EntryPoint] | None = None) -> tuple[str, ...]:
    """Return the names of the foundation models that this installation offers, unloaded."""
    points = entry_points(group=GROUP) if found is None else found
    return tuple(sorted(point.name for point in points))


def load(name: str, found: Iterable[EntryPoint] | None = None) -> Foundation:
    """Return the foundation model of this name; raise ModelError where it does not load."""
    points = {p.name: p for p in (entry_points(group=GROUP) if found is None else found)}
    if name not in points:
        there = ", ".join(sorted(points)) or "none"
        raise ModelError(f"there is no foundation model {name!r}; there are: {there}")
    point = points[name]
    try:
        return Foundation(point.load()())
    except ModelError:
        raise
    except Exception as error:  # whatever a foreign package raises, it is one model fewer
        raise ModelError(
            f"the foundation model {name!r} ({point.value}) does not load "
            f"({type(error).__name__}: {error}): mend it, or leave the model out"
        ) from error
