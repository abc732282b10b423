"""Outages: stretches that read nothing, or next to it, where the time of day says otherwise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecaster.condition.runs import Mask, Run, runs
from forecaster.condition.usual import at_time_of_day, by_day, middle, nearby, noise

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

NEAR_ZERO = 0.02  # of what is usual: the edges of a gap in collection count a little
_DAYS_TO_KNOW = 3  # of history, before the time of day says anything
_FREQUENT = 0.02  # falls to zero per step, from which on a long one is no surprise
_USUAL = 0.05  # falls to zero per step at which zeros belong to the demand, however steady
_MUCH = 0.25  # of the steps around are next to zero: no stretch of them is a surprise
_SOME = 0.1  # of them are: a single step is none
_DAILY = 0.3  # of the days are next to zero then: a habit
_CHANCE = 0.01  # of one such stretch in the whole history, were falls independent
_DEEP = 10.0  # spreads below what is usual, at which a single step is enough
_SHARP = 0.25  # of what is usual is asked for beside an outage: evenings fade instead


@dataclass(frozen=True, slots=True)
class _Lows:
    """Steps next to zero, and what is needed to judge whether they are real."""

    mask: Mask
    usual: Floats
    roots: Floats
    spread: Floats
    season: int


def outages(values: Floats, season: int) -> list[Run]:
    """Return the stretches of at most a day that read next to nothing and do not mean it.

    A real zero stays. Demand that falls to zero often, counted over the day before and after,
    does so of itself, however long it then lasts; so does one that fades into it. More than a
    day of nothing is a new level.
    """
    lows = _lows(values, season)
    starts = np.zeros(values.size, dtype=np.int64)
    stretches = runs(lows.mask)
    starts[[run.start for run in stretches]] = 1
    falls = np.concatenate([[0], np.cumsum(starts)])
    known = np.concatenate([[0], np.cumsum(np.isfinite(values))])
    return [
        run
        for run in stretches
        if run.size <= season
        and _is_surprising(run, lows, falls, known)
        and not _is_habit(run, lows)
        and _is_sharp(run, values, lows.usual)
    ]


def usual_level(values: Floats, season: int) -> Floats:
    """Return what is usual at each step: by time of day, or nearby where few days are known."""
    if values.size >= _DAYS_TO_KNOW * season:
        return at_time_of_day(values, season, reach=max(1, season // 48))
    reach = max(3, season // 8)
    return nearby(values, reach, 0.5, every=max(1, reach // 8))


def _lows(values: Floats, season: int) -> _Lows:
    usual = usual_level(values, season)
    roots = np.sqrt(values)
    spread = noise(roots, middle(roots, season), season)
    mask = np.isfinite(values) & (usual > 0) & (values <= NEAR_ZERO * usual)
    return _Lows(mask, usual, roots, spread, season)


def _is_surprising(run: Run, lows: _Lows, falls: Indices, known: Indices) -> bool:
    low = max(run.start - lows.season, 0)
    high = min(run.stop + lows.season, lows.mask.size)
    others = falls[high] - falls[low] - 1
    around = known[high] - known[low] - run.size
    rate = (others + 1) / (around + 1)
    share = (int(lows.mask[low:high].sum()) - run.size) / max(around, 1)
    chance = run.size * np.log(rate) + np.log(lows.mask.size)
    if rate <= _FREQUENT and share <= _MUCH and chance < np.log(_CHANCE):
        return True
    if rate > _USUAL or share > _SOME:
        return False
    below = np.sqrt(lows.usual[run.steps]) - lows.roots[run.steps]
    return bool((below > _DEEP * lows.spread[run.steps]).all())


def _is_habit(run: Run, lows: _Lows) -> bool:
    """Tell whether other days are next to zero at these times of day too."""
    days = by_day(lows.mask.astype(np.float64), lows.season)
    then = days[:, np.arange(run.start, run.stop) % lows.season]
    others = np.nansum(then, axis=0) - 1.0
    return bool(np.median(others) > _DAILY * max(days.shape[0] - 1, 1))


def _is_sharp(run: Run, values: Floats, usual: Floats) -> bool:
    """Tell whether demand was there just before, and just after unless the series ends."""
    reach = max(3, min(run.size, values.size // 24))
    before = slice(max(run.start - reach, 0), run.start)
    after = slice(run.stop, run.stop + reach)
    return _is_there(values[before], usual[before]) and (
        not np.isfinite(values[after]).any() or _is_there(values[after], usual[after])
    )


def _is_there(values: Floats, usual: Floats) -> bool:
    known = np.isfinite(values)
    if not known.any():
        return False
    level = float(np.median(values[known]))
    return level > 0 and level >= _SHARP * float(np.median(usual[known]))
