"""Scores of quantile forecasts: lower loss is better, coverage should equal the level.

A forecast has one more axis than the actual values: its levels. Gaps never count, on either side;
a score is NaN where nothing can be compared.
"""

from collections.abc import Sequence

import numpy as np

from forecaster.combination import quantiles
from forecaster.history import Floats, Mask

_ROUNDING = 1e-9  # the forecast of a level that repeats exactly may be off by the last bit


def pinball_losses(actual: Floats, forecast: Floats, levels: Sequence[float]) -> Floats:
    """Return the loss of every value at every level; NaN at gaps."""
    error = actual[..., None] - forecast
    error = np.where(np.abs(error) <= _ROUNDING * np.abs(actual[..., None]), 0.0, error)
    return quantiles.pinball(error, np.asarray(levels))


def pinball(actual: Floats, forecast: Floats, levels: Sequence[float]) -> float:
    """Return the mean pinball loss, in the unit of the values."""
    return _mean(pinball_losses(actual, forecast, levels))


def weighted_quantile_loss(actual: Floats, forecast: Floats, levels: Sequence[float]) -> float:
    """Return 2 x pinball loss over the sum of what was asked, as a mean over the levels."""
    losses = pinball_losses(actual, forecast, levels)
    known = np.isfinite(losses).all(axis=-1)
    asked = float(np.abs(actual[known]).sum())
    if not known.any() or asked == 0:
        return float("nan")
    return float(2.0 * losses[known].mean(axis=-1).sum() / asked)


def naive_scale(values: Floats, season: int) -> float:
    """Return how far the values are from those a season before, as a mean: the scale of MASE."""
    if values.size <= season:
        return float("nan")
    return _mean(np.abs(values[season:] - values[:-season]))


def scaled_error(actual: Floats, path: Floats, scale: Floats | float) -> float:
    """Return the mean absolute error over its scale; the scale may be one for each origin."""
    scales = np.asarray(scale, dtype=np.float64)
    errors = np.abs(actual - path)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _mean(errors / (scales[:, None] if scales.ndim else scales))


def coverage(actual: Floats, forecast: Floats) -> float:
    """Return the share of values at or below their forecast, which has no axis of levels."""
    known = np.isfinite(actual) & np.isfinite(forecast)
    return _mean(_at_or_below(actual[known], forecast[known]).astype(np.float64))


def coverages(actual: Floats, forecast: Floats, levels: Sequence[float]) -> dict[float, float]:
    """Return the share of values at or below the forecast of each level."""
    return {level: coverage(actual, forecast[..., at]) for at, level in enumerate(levels)}


def pit(
    actual: Floats, forecast: Floats, levels: Sequence[float], generator: np.random.Generator
) -> Floats:
    """Return the probability that the forecast gave to what came or less: level if it is right.

    Drawn where the forecast leaves it open: beyond its outermost levels, and among levels that
    share one value, as they do at zero.
    """
    ranks = np.asarray(levels)
    least, most = _bounds(actual, forecast, ranks)
    drawn = least + (most - least) * generator.random(actual.shape)
    inside = _interpolated(actual, forecast, ranks)
    known = np.isfinite(actual) & np.isfinite(forecast).all(axis=-1)
    return np.where(known, np.where(np.isnan(inside), drawn, inside), np.nan)


def histogram(probabilities: Floats, bins: int = 10) -> Floats:
    """Return the share of probabilities in each of `bins` equal parts of 0 to 1."""
    known = probabilities[np.isfinite(probabilities)]
    if not known.size:
        return np.full(bins, np.nan)
    return np.histogram(known, bins=bins, range=(0.0, 1.0))[0] / known.size


def _bounds(actual: Floats, forecast: Floats, levels: Floats) -> tuple[Floats, Floats]:
    """Return the least and the greatest probability that the forecast leaves open."""
    below = (forecast < actual[..., None]).sum(axis=-1)
    reached = (forecast <= actual[..., None]).sum(axis=-1)
    is_tied = reached > below
    padded = np.concatenate([[0.0], levels, [1.0]])
    least = np.where(is_tied & (below > 0), below + 1, below)
    tied_most = np.where(reached < levels.size, reached, levels.size + 1)
    return padded[least], padded[np.where(is_tied, tied_most, below + 1)]


def _interpolated(actual: Floats, forecast: Floats, levels: Floats) -> Floats:
    """Return the probability of values strictly between two levels; NaN for all others."""
    below = (forecast < actual[..., None]).sum(axis=-1)
    over = np.clip(below, 1, levels.size - 1) if levels.size > 1 else np.zeros_like(below)
    under = np.maximum(over - 1, 0)
    low = np.take_along_axis(forecast, under[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(forecast, over[..., None], axis=-1)[..., 0]
    inside = (low < actual) & (actual < high)
    share = (actual - low) / np.where(inside, high - low, 1.0)
    return np.where(inside, levels[under] + share * (levels[over] - levels[under]), np.nan)


def _at_or_below(actual: Floats, forecast: Floats) -> Mask:
    return np.asarray(actual <= forecast * (1 + _ROUNDING))


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
