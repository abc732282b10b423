"""What is usual: robust middles by time of day and nearby, which oddities are held against."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TO_SIGMA = 1.4826  # of the median absolute deviation: the standard deviation of a normal noise

_CRUMB = 1e-13
_FINE = 16  # places in half a window at which its median is worked out: it moves slowly


def quantiles(rows: Floats, share: float) -> Floats:
    """Return a quantile of what is known in each column; NaN where nothing is."""
    ordered = np.sort(rows, axis=0)
    place = share * np.maximum(np.isfinite(rows).sum(axis=0) - 1, 0)
    below = np.floor(place).astype(np.int64)
    above = np.ceil(place).astype(np.int64)
    columns = np.arange(rows.shape[1])
    low, high = ordered[below, columns], ordered[above, columns]
    return np.asarray(low + (place - below) * (high - low))


def smooth(values: Floats, reach: int) -> Floats:
    """Return the mean of what is known within `reach` steps of each step; NaN where nothing is."""
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    low = np.maximum(np.arange(values.size) - reach, 0)
    high = np.minimum(np.arange(values.size) + reach + 1, values.size)
    count = counts[high] - counts[low]
    mean = (sums[high] - sums[low]) / np.maximum(count, 1)
    # Differences of sums leave crumbs, which must not pass for demand.
    mean[np.abs(mean) <= _CRUMB * np.abs(sums).max()] = 0.0
    return np.where(count > 0, mean, np.nan)


def by_day(values: Floats, season: int) -> Floats:
    """Return the values as days x steps of a day, filled up with gaps after the last."""
    missing = -values.size % season
    return np.concatenate([values, np.full(missing, np.nan)]).reshape(-1, season)


def at_time_of_day(values: Floats, season: int, *, reach: int) -> Floats:
    """Return, for each step, the median over the days around its time of day."""
    profile = quantiles(by_day(smooth(values, reach), season), 0.5)
    return profile[np.arange(values.size) % season]


def nearby(values: Floats, reach: int, share: float, *, every: int = 1) -> Floats:
    """Return, for each step, a quantile of what is known within `reach` steps of it.

    Worked out for one step in `every`, and taken from the nearest of those.
    """
    padded = np.concatenate([np.full(reach, np.nan), values, np.full(reach, np.nan)])
    windows = sliding_window_view(padded, 2 * reach + 1)[every // 2 :: every]
    if not windows.size:
        windows = sliding_window_view(padded, 2 * reach + 1)[:1]
    found = quantiles(windows.T, share)
    return found[np.minimum(np.arange(values.size) // every, found.size - 1)]


def middle(values: Floats, season: int) -> Floats:
    """Return the local median, over an hour or seven steps; of many steps not at every one."""
    reach = max(3, season // 48)
    return nearby(values, reach, 0.5, every=max(1, reach // _FINE))


def noise(roots: Floats, level: Floats, season: int) -> Floats:
    """Return the robust spread of roots about their local middle, over the days around."""
    off = np.abs(roots - level)
    return TO_SIGMA * nearby(off, season, 0.5, every=max(1, season // 24))
