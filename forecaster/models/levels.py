"""Levels: the last value, and means of the last minutes, expected to stay."""

from dataclasses import dataclass

import numpy as np

from forecaster.history import History
from forecaster.models.model import PATH, Floats, Indices


@dataclass(frozen=True, slots=True)
class FlatPaths:
    """Expects the level of each origin to stay: `level` has one value per step of a history."""

    level: Floats
    levels: tuple[float, ...] = PATH

    def paths(self, origins: Indices, horizons: Indices) -> Floats:
        """Return the level of each origin at every horizon."""
        return np.repeat(self.level[origins][:, None, None], horizons.size, axis=1)


@dataclass(frozen=True, slots=True)
class LastValue:
    """Expects the latest value known to stay."""

    name: str = "last value"

    def can_fit(self, history: History) -> bool:  # noqa: ARG002 - any history will do
        """Tell that any history will do."""
        return True

    def fit(self, history: History) -> FlatPaths:
        """Learn the latest value at each step."""
        return FlatPaths(history.filled)


@dataclass(frozen=True, slots=True)
class MovingAverage:
    """Expects the mean of the last `minutes` to stay."""

    minutes: float

    @property
    def name(self) -> str:
        """Short name for tables and labels."""
        return f"mean of {self.minutes:g} min"

    def can_fit(self, history: History) -> bool:
        """Tell whether the mean is over more than one step, half of them in the history."""
        return 1 < history.steps(self.minutes) <= 2 * history.size

    def fit(self, history: History) -> FlatPaths:
        """Learn the mean at each step."""
        return FlatPaths(history.mean(history.steps(self.minutes)))
