"""From readings at any moment to values on a regular grid: the arithmetic of the stores.

Times are compared in whole milliseconds, as Prometheus does, so that a reading stamped with a
grid point falls into the step that this point ends.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from telemetry.series import Window

Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]


def newest_per_step(at: Floats, values: Floats, window: Window) -> Floats:
    """Return the newest value of the step before each point; `at` rises, gaps are NaN."""
    if not at.size:
        return np.full(window.size, np.nan)
    edges = np.searchsorted(_milliseconds(at), _edges(window), side="right") - 1
    before, newest = edges[1:-1], edges[2:]
    return np.where(newest > before, values[newest], np.nan)


def increase_per_step(at: Floats, values: Floats, window: Window) -> Floats:
    """Return a counter's growth in the step before each point; `at` rises, gaps are NaN.

    The growth is counted from the last reading of the previous step, or else from the first
    of this one: what a counter held when it was first seen is no growth.
    """
    if not at.size:
        return np.full(window.size, np.nan)
    edges = np.searchsorted(_milliseconds(at), _edges(window), side="right") - 1
    earlier, before, newest = edges[:-2], edges[1:-1], edges[2:]
    base = np.where(before > earlier, before, before + 1)
    with np.errstate(invalid="ignore"):  # nothing is known of what an infinite count gains
        grown = _grown(values)
        growth = grown[newest] - grown[np.minimum(base, at.size - 1)]
    return np.where(newest > base, growth, np.nan)


@lru_cache(maxsize=16)  # many series are read on one window
def _edges(window: Window) -> _Integers:
    """Edges of the window's steps, and of the step before them."""
    return _milliseconds(window.start + window.step * np.arange(-2.0, window.size))


def _grown(values: Floats) -> Floats:
    """Growth since the first reading; a counter that falls was reset and counts from zero."""
    rises = np.diff(values, prepend=values[0])
    return np.cumsum(np.where(rises < 0, values, rises))


def _milliseconds(seconds: Floats) -> _Integers:
    return np.rint(seconds * 1000.0).astype(np.int64)
