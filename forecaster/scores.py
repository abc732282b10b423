"""Scores of quantile forecasts: lower pinball loss is better, coverage should equal the level."""

from collections.abc import Sequence

import numpy as np

from forecaster.models.model import Floats


def pinball(actual: Floats, forecast: Floats, quantiles: Sequence[float]) -> float:
    """Return the mean pinball loss; `forecast` has one more axis than `actual`: the quantiles.

    Gaps do not count; NaN where everything is a gap.
    """
    error = actual[..., None] - forecast
    levels = np.asarray(quantiles)
    losses = np.maximum(levels * error, (levels - 1.0) * error)
    known = losses[np.isfinite(losses)]
    return float(known.mean()) if known.size else float("nan")


def coverage(actual: Floats, forecast: Floats) -> float:
    """Return the share of values at or below their forecast; NaN where none can be compared."""
    known = np.isfinite(actual) & np.isfinite(forecast)
    if not known.any():
        return float("nan")
    # The forecast of a level that repeats exactly may be off by the last bit.
    return float(np.mean(actual[known] <= forecast[known] * (1 + 1e-9)))
