"""Spikes: a few steps far above all that is near them, which come alone and pass."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecaster.condition.runs import Mask, Run, runs
from forecaster.condition.usual import at_time_of_day, by_day, nearby, noise, smooth

Floats = NDArray[np.float64]

_FAR = 8.0  # spreads above the local middle
_TAIL = 0.98  # of the distances nearby; bursty demand has far ones of its own
_BEYOND_TAIL = 5.0
_TWICE = 2.0  # times the local level, at least
_NOTHING = 1e-6  # of a root: what is above hardly anything is no spike of it
_AGAIN = 0.2  # of the days show it at the same time: a job, not a spike
_DAYS_TO_KNOW = 3  # of history, before the time of day says anything


@dataclass(frozen=True, slots=True)
class Rise:
    """A stretch above what is usual, and how many times as high it was."""

    run: Run
    factor: float


def spikes(values: Floats, season: int) -> list[Rise]:
    """Return the lone rises of at most a quarter of an hour, or of one step, that have passed.

    One that reaches the last steps may be the beginning of something and is none.
    """
    middle = _middle(values, season)
    far = _far(values, middle, season)
    longest = max(1, season // 96)
    return [
        Rise(run, float(np.max(values[run.steps] / middle[run.steps] ** 2)))
        for run in runs(far)
        if run.size <= longest
        and _has_passed(run, values, longest)
        and not _comes_again(run, far, season)
    ]


def surges(values: Floats, season: int) -> list[Rise]:
    """Return the rises of more than a quarter of an hour and at most a quarter of a day.

    They are told by the time of day, so that some days must be known: a launch, a campaign.
    """
    if values.size < _DAYS_TO_KNOW * season:
        return []
    level = smooth(values, max(1, season // 192))
    usual = at_time_of_day(values, season, reach=max(1, season // 48))
    excess = np.full(values.size, np.nan)
    known = (level > _NOTHING**2) & (usual > _NOTHING**2)
    excess[known] = np.log(level[known] / usual[known])
    middle = nearby(excess, season, 0.5, every=max(1, season // 24))
    high = excess - middle > np.maximum(np.log(_TWICE), _FAR * noise(excess, middle, season))
    longest = max(1, season // 96)
    return [
        Rise(run, float(np.exp(np.median(excess[run.steps]))))
        for run in runs(high)
        if longest < run.size <= season // 4
        and _has_passed(run, values, run.size)
        and not _comes_again(run, high, season)
    ]


def _middle(values: Floats, season: int) -> Floats:
    """Return the local median of the root of the rate, over an hour or seven steps."""
    return nearby(np.sqrt(values), max(3, season // 48), 0.5)


def _far(values: Floats, middle: Floats, season: int) -> Mask:
    roots = np.sqrt(values)
    off = roots - middle
    every = max(1, season // 24)
    tail = nearby(np.abs(off), season, _TAIL, every=every)
    band = np.maximum(_FAR * noise(roots, middle, season), _BEYOND_TAIL * tail)
    return np.asarray((middle > _NOTHING) & (off > band) & (values > _TWICE * middle**2))


def _has_passed(run: Run, values: Floats, steps: int) -> bool:
    return int(np.isfinite(values[run.stop : run.stop + steps]).sum()) >= max(1, steps // 2)


def _comes_again(run: Run, far: Mask, season: int) -> bool:
    """Tell whether other days have the like at about the same time of day."""
    near = smooth(far.astype(np.float64), max(2, season // 288)) > 0
    days = by_day(near.astype(np.float64), season)
    seen = np.nanmax(days[:, np.arange(run.start, run.stop) % season], axis=1, initial=0.0)
    others = float(seen.sum()) - 1.0
    return bool(others >= max(1.0, _AGAIN * days.shape[0]))
