"""Gaps: where a series is not known."""

import numpy as np
from numpy.typing import NDArray

from forecaster.condition.runs import Run, runs

Floats = NDArray[np.float64]


def longest_gap(values: Floats) -> Run | None:
    """Return the longest gap, the first of equals; None without any."""
    return max(runs(~np.isfinite(values)), key=lambda run: run.size, default=None)


def ending_gap(values: Floats) -> int:
    """Return how many steps at the end are not known."""
    known = np.flatnonzero(np.isfinite(values))
    return values.size - 1 - int(known[-1]) if known.size else values.size
