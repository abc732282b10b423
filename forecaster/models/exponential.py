"""Exponential smoothing of the level, as fast as the recent past asks for."""

from dataclasses import dataclass

import numpy as np

from forecaster.history import History
from forecaster.models.levels import FlatPaths
from forecaster.models.model import Floats
from forecaster.smoothed import smoothed

_LEAST_STEPS = 30
_MEMORIES = (2.0, 5.0, 10.0, 20.0, 40.0)  # minutes in which half of a value is forgotten
_AHEAD_MINUTES = 10.0  # where the rates are compared: most pools are resized about so far ahead


@dataclass(frozen=True, slots=True)
class ExponentialSmoothing:
    """Expects the smoothed level to stay; a gap leaves the level as it was."""

    name: str = "exponential smoothing"

    def can_fit(self, history: History) -> bool:
        """Tell whether there are enough values to tell how fast the level moves."""
        return int(history.known.sum()) >= _LEAST_STEPS

    def fit(self, history: History) -> FlatPaths:
        """Learn which memory would have erred least on the latest day."""
        ahead = min(history.steps(_AHEAD_MINUTES), history.size // 2)
        begin = max(0, history.size - history.season)
        best = min(
            (smoothed(history.values, history.steps(memory)) for memory in _MEMORIES),
            key=lambda level: _error(history.values[begin:], level[begin:], ahead),
        )
        return FlatPaths(best)


def _error(values: Floats, level: Floats, ahead: int) -> float:
    errors = np.abs(values[ahead:] - level[:-ahead])
    known = errors[np.isfinite(errors)]
    return float(known.mean()) if known.size else float("inf")
