"""Exponential smoothing: the recent level, expected to stay."""

import warnings
from dataclasses import dataclass

import numpy as np
import structlog

from forecaster.models.model import Floats, Indices

_log = structlog.get_logger(__name__)

_LEAST_TO_FIT = 10  # fewer values do not tell how fast the level moves
_MOST_TO_FIT = 288  # older ones tell how fast it moved then, and cost time
_UNFITTED = 0.5
_SLOWEST = 0.1  # a slower level would need tens of steps to follow a real shift


@dataclass(frozen=True, slots=True)
class ExponentialSmoothing:
    """Expects the smoothed level to stay; a gap leaves the level as it was."""

    name: str = "exponential smoothing"

    def fit_predict(self, history: Floats, horizon: int) -> Floats:
        """Return the demand expected in each of the next `horizon` steps."""
        return np.full(horizon, _levels(history, _fit(history))[-1])

    def backtest(self, history: Floats, horizon: int, origins: Indices) -> Floats:
        """Return the paths expected at each origin, smoothed as fast as the oldest part asks."""
        rate = _fit(history[: origins[0] + 1])
        return np.repeat(_levels(history, rate)[origins][:, None], horizon, axis=1)


def _levels(history: Floats, rate: float) -> Floats:
    """Return the level after each step; NaN before the first value."""
    levels = np.full(history.size, np.nan)
    level = np.nan
    for step, value in enumerate(history.tolist()):
        if value == value:  # noqa: PLR0124 - not a gap
            level = value if level != level else level + rate * (value - level)  # noqa: PLR0124
        levels[step] = level
    return levels


def _fit(history: Floats) -> float:
    """Return the smoothing rate that would have erred least on the latest values."""
    values = history[np.isfinite(history)][-_MOST_TO_FIT:]
    if values.size < _LEAST_TO_FIT or np.ptp(values) == 0.0:
        return _UNFITTED
    # Imported here: it takes a second, and only this function needs it.
    from statsmodels.tsa.holtwinters import SimpleExpSmoothing  # noqa: PLC0415

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = SimpleExpSmoothing(values, initialization_method="heuristic").fit()
    for warning in caught:
        _log.info("smoothing fitted with a warning", warning=str(warning.message))
    rate = float(fitted.params["smoothing_level"])
    return float(np.clip(rate, _SLOWEST, 1.0)) if np.isfinite(rate) else _UNFITTED
