"""Spikes: a few steps far above all that is near them, which come alone and pass."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecaster.condition.runs import Mask, Run, runs
from forecaster.condition.usual import at_time_of_day, by_day, middle, nearby, noise, smooth

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
    level = middle(np.sqrt(values), season)
    far = _far(values, level, season)
    seen = _seen_by_day(far, season)
    longest = max(1, season // 96)
    return [
        Rise(run, float(np.max(values[run.steps] / level[run.steps] ** 2)))
        for run in runs(far)
        if run.size <= longest
        and _has_passed(run, values, longest)
        and not _comes_again(run, seen)
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
    around = nearby(excess, season, 0.5, every=max(1, season // 24))
    high = excess - around > np.maximum(np.log(_TWICE), _FAR * noise(excess, around, season))
    seen = _seen_by_day(high, season)
    longest = max(1, season // 96)
    return [
        Rise(run, float(np.exp(np.median(excess[run.steps]))))
        for run in runs(high)
        if longest < run.size <= season // 4
        and _has_passed(run, values, run.size)
        and not _comes_again(run, seen)
    ]


def _far(values: Floats, level: Floats, season: int) -> Mask:
    """Return where values are far above the local `level` of their roots."""
    roots = np.sqrt(values)
    off = roots - level
    every = max(1, season // 24)
    tail = nearby(np.abs(off), season, _TAIL, every=every)
    band = np.maximum(_FAR * noise(roots, level, season), _BEYOND_TAIL * tail)
    return np.asarray((level > _NOTHING) & (off > band) & (values > _TWICE * level**2))


def _has_passed(run: Run, values: Floats, steps: int) -> bool:
    return int(np.isfinite(values[run.stop : run.stop + steps]).sum()) >= max(1, steps // 2)


def _seen_by_day(far: Mask, season: int) -> Floats:
    """Return 1 where a step or one near it is far, 0 elsewhere: days x steps of a day."""
    near = smooth(far.astype(np.float64), max(2, season // 288)) > 0
    return by_day(near.astype(np.float64), season)


def _comes_again(run: Run, days: Floats) -> bool:
    """Tell whether other days have the like at about the same time of day."""
    seen = np.nanmax(days[:, np.arange(run.start, run.stop) % days.shape[1]], axis=1, initial=0.0)
    others = float(seen.sum()) - 1.0
    return bool(others >= max(1.0, _AGAIN * days.shape[0]))
