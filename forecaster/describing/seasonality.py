"""How much of demand comes again: by the time of day, and by the day of the week besides."""

from dataclasses import dataclass

import numpy as np

from forecaster.demand.demand import Demand
from forecaster.history import Floats

_DAY = 86400.0
_SLOT = 1800.0  # seconds: shorter than this a shape is noise
_LEAST_DAYS = 3
_LEAST_WEEKS = 2
_OUTLYING = (0.01, 0.99)


@dataclass(frozen=True, slots=True)
class Seasonality:
    """Shares of the variance, on the root scale, that repetition explains; NaN: too short to tell.

    Measured against the other days and weeks, so that what happened once does not count.
    """

    daily: float  # of the variation within a day, by the time of day
    weekly: float  # of what the time of day leaves within a week, by the day and the time


def seasonality(demand: Demand) -> Seasonality:
    """Measure how much of demand comes again each day and each week."""
    per_slot = max(1, round(_SLOT / demand.step))
    per_day = round(_DAY / (per_slot * demand.step))
    slots = _slot_means(_tamed(np.sqrt(demand.telling)), per_slot)
    days = _rows(slots, per_day)
    weeks = _rows(slots, 7 * per_day)
    daily = _repeated(days) if days.shape[0] >= _LEAST_DAYS else float("nan")
    if weeks.shape[0] < _LEAST_WEEKS:
        return Seasonality(daily, float("nan"))
    shape = _mean(days - _mean(days, axis=1)[:, None], axis=0)
    return Seasonality(daily, _repeated(weeks - np.tile(np.nan_to_num(shape), 7)))


def _tamed(values: Floats) -> Floats:
    """Return the values without the size of what lies outside, which would rule all variances."""
    if not np.isfinite(values).any():
        return values
    low, high = np.nanquantile(values, _OUTLYING)
    return np.clip(values, low, high)


def _slot_means(values: Floats, per_slot: int) -> Floats:
    """Return the mean of each slot, counted from the end; NaN where all of it is a gap."""
    count = values.size // per_slot
    return _mean(values[values.size - count * per_slot :].reshape(count, per_slot), axis=1)


def _rows(slots: Floats, per_row: int) -> Floats:
    """Return whole periods up to the end, periods x slots, of which most slots are known."""
    count = slots.size // per_row
    rows = slots[slots.size - count * per_row :].reshape(count, per_row)
    most = np.isfinite(rows).mean(axis=1) > 0.5  # noqa: PLR2004 - a half
    return np.asarray(rows[most])


def _repeated(rows: Floats) -> float:
    """Return the share of the variance within rows that the mean of the other rows explains."""
    centred = rows - _mean(rows, axis=1)[:, None]
    known = np.isfinite(centred)
    filled = np.where(known, centred, 0.0)
    others = known.sum(axis=0) - known
    rest = (filled.sum(axis=0) - filled) / np.maximum(others, 1)
    counted = known & (others > 0)
    variance = float((centred[counted] ** 2).sum())
    if variance <= 0:
        return float("nan")
    return float(np.clip((centred[counted] * rest[counted]).sum() / variance, 0.0, 1.0))


def _mean(values: Floats, *, axis: int) -> Floats:
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=axis)
    count = known.sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
