"""Level shifts: changes that stay, seen by holding each hour against the same hour a day before.

The time of day then says nothing, and the spread of all such days, slow growth and all, is the
noise that a change has to stand out from.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecaster.condition.usual import TO_SIGMA, by_day

Floats = NDArray[np.float64]

HOURS = 24  # blocks of a day
_WEEK = 7 * HOURS
_LEAST_HOURS = 6  # after a change, before anything is said of it
_STAYS = 36  # hours looked at to tell a change from a burst
_SURE = 4.5  # spreads
_LEAST = np.log(1.25)  # smaller changes are for the models to follow
_LEAST_SHORT = np.log(1.5)  # where few days are known, and so the spread hardly is
_FEW_DAYS = 5
_LEAST_SPREAD = 0.03  # of the logarithm from day to day
_LEAST_SPREAD_SHORT = 0.15
_OF_MEDIAN = 1.25  # its standard error over that of a mean, sqrt(pi / 2)
_WEEKEND = (5, 0)  # days of the week that weekends and weeks begin on
_DAY = 86400.0
_EPOCH_WEEKDAY = 3  # the epoch began on a Thursday


@dataclass(frozen=True, slots=True)
class LevelShift:
    """Where the level changed for good: from this step on, by this factor, so many spreads."""

    start: int
    factor: float
    z: float


def level_shifts(values: Floats, season: int, *, begins: float = 0.0) -> list[LevelShift]:
    """Return the changes of level that last, found from six hours after them on.

    One that comes every week is none; nor, while only one week is known, is one about the
    beginning or the end of a weekend. `begins` is when the first step begins, epoch seconds.
    """
    size = max(1, season // HOURS)
    logs = _blocks(values, size)
    if season < HOURS or logs.size < HOURS + _LEAST_HOURS:
        return []
    change, error = _changes(logs)
    z = _standing_out(change, error, days=logs.size / HOURS)
    found: list[LevelShift] = []
    for at in _peaks(logs, change, z):
        moment = begins + at * size * _DAY / season
        if not _stays(logs, at, change[at]):
            continue
        if _is_weekly(change, at) or _may_be_weekend(change, at, moment, logs):
            continue
        found.append(LevelShift(at * size, float(np.exp(change[at])), float(z[at])))
    return found


def _blocks(values: Floats, size: int) -> Floats:
    """Return the logarithm of each hour's mean, above a floor; NaN where little is known."""
    rows = by_day(values[: values.size // size * size], size)
    known = np.isfinite(rows)
    counts = known.sum(axis=1)
    means = np.where(known, rows, 0.0).sum(axis=1) / np.maximum(counts, 1)
    means[counts * 3 < size] = np.nan
    present = means[np.isfinite(means)]
    floor = 0.05 * float(present.mean()) if present.size else 0.0
    return np.log(means + floor) if floor > 0 else np.full(means.size, np.nan)


def _changes(logs: Floats) -> tuple[Floats, Floats]:
    """Return the median change against the day before, over the day from each hour on.

    The second is the standard error of that median, were the hours independent.
    """
    daily = np.full(logs.size, np.nan)
    daily[HOURS:] = logs[HOURS:] - logs[:-HOURS]
    change = np.full(logs.size, np.nan)
    error = np.full(logs.size, np.nan)
    for at in range(HOURS, logs.size - _LEAST_HOURS + 1):
        after = daily[at : at + HOURS]
        known = after[np.isfinite(after)]
        if known.size >= _LEAST_HOURS:
            change[at] = np.median(known)
            off = TO_SIGMA * float(np.median(np.abs(known - change[at])))
            error[at] = _OF_MEDIAN * off / np.sqrt(known.size)
    return change, error


def _standing_out(change: Floats, error: Floats, *, days: float) -> Floats:
    """Return how many spreads each change is from the usual one; 0 where it is small."""
    known = change[np.isfinite(change)]
    if not known.size:
        return np.zeros(change.size)
    few = days < _FEW_DAYS
    middle = 0.0 if few else float(np.median(known))
    usual = TO_SIGMA * float(np.median(np.abs(known - middle)))
    spread = max(_LEAST_SPREAD_SHORT if few else usual, _LEAST_SPREAD)
    # Of less than a day the median is less sure.
    hours = np.minimum(change.size - np.arange(change.size), HOURS)
    z = (change - middle) / np.fmax(spread * np.sqrt(HOURS / hours), error)
    return np.where(np.abs(change) >= (_LEAST_SHORT if few else _LEAST), z, 0.0)


def _peaks(logs: Floats, change: Floats, z: Floats) -> list[int]:
    """Return the hours that changes begin at, the surest first to claim the day around it."""
    left = np.where(np.isfinite(z), np.abs(z), 0.0)
    found: list[int] = []
    while float(left.max()) >= _SURE:
        top = int(left.argmax())
        at = _located(logs, change, top)
        found.append(at)
        left[max(min(at, top) - HOURS, 0) : max(at, top) + HOURS] = 0.0
    return sorted(found)


def _located(logs: Floats, change: Floats, top: int) -> int:
    """Return the hour near `top` from which most of the day's hours show the change."""
    size = abs(float(change[top]))
    first = max(top - HOURS // 2, HOURS)
    last = min(top + HOURS // 2, logs.size - _LEAST_HOURS)
    best, at = -np.inf, top
    for start in range(first, last + 1):
        daily = logs[start : start + HOURS] - logs[start - HOURS : start][: logs.size - start]
        shown = np.clip(np.sign(change[top]) * daily, -size, 1.5 * size) - size / 2
        score = float(np.nansum(shown))
        if score > best and np.isfinite(change[start]):
            best, at = score, start
    return at


def _stays(logs: Floats, at: int, size: float) -> bool:
    """Tell whether the hours after, each against its like the day before, keep to the change."""
    after = logs[at : at + _STAYS]
    before = logs[at - HOURS : at][np.arange(after.size) % HOURS]
    held = (after - before)[np.isfinite(after - before)]
    return bool(held.size) and bool(np.sign(size) * np.median(held) >= abs(size) / 2)


def _weeks(change: Floats, at: int) -> list[float]:
    """Return the changes a week before and after, where they are known."""
    others = [change[other] for other in (at - _WEEK, at + _WEEK) if 0 <= other < change.size]
    return [float(other) for other in others if np.isfinite(other)]


def _is_weekly(change: Floats, at: int) -> bool:
    """Tell whether the week before or after has the like."""
    size = np.sign(change[at])
    return any(size * other >= abs(change[at]) / 2 for other in _weeks(change, at))


def _may_be_weekend(change: Floats, at: int, moment: float, logs: Floats) -> bool:
    """Tell whether only the day of the week could explain the change, and no week can be asked.

    A weekend is over on its third day; whether a week is, nothing tells.
    """
    if _weeks(change, at):
        return False
    weekday = (round(moment / _DAY) + _EPOCH_WEEKDAY) % 7
    if weekday not in _WEEKEND:
        return False
    third = logs[at + 2 * HOURS : at + 3 * HOURS]
    held = np.sign(change[at]) * (third - logs[at - HOURS : at][: third.size])
    held = held[np.isfinite(held)]
    outlasts = held.size >= _LEAST_HOURS and np.median(held) >= abs(change[at]) / 2
    return weekday == 0 or not outlasts
