"""Exponentially weighted means over series with gaps."""

import numpy as np

from forecaster.history import Floats


def smoothed(values: Floats, half_life: float) -> Floats:
    """Return the mean of the past, weights halving every `half_life` known values.

    A gap leaves the mean as it was; before the first value it is the first value.
    """
    from scipy.signal import lfilter  # noqa: PLC0415 - slow to import

    known = np.isfinite(values)
    rate = 1.0 - 0.5 ** (1.0 / half_life)
    told = values[known]
    means, _ = lfilter([rate], [1.0, rate - 1.0], told, zi=[(1.0 - rate) * told[0]])
    latest = np.maximum(np.cumsum(known) - 1, 0)
    result: Floats = means[latest]
    return result
