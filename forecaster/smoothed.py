"""Exponentially weighted means over series with gaps."""

import numpy as np

from forecaster.history import Floats

_NOTHING = 1e-12  # a weight that no longer changes the mean


def smoothed(values: Floats, half_life: float) -> Floats:
    """Return the mean of the past, weights halving every `half_life` known values.

    A gap leaves the mean as it was; before the first value it is the first value.
    """
    known = np.isfinite(values)
    told = values[known]
    kept = 0.5 ** (1.0 / half_life)  # of the mean at each value
    means = (1.0 - kept) * told
    means[0] = told[0]
    reach = 1  # each mean holds what the last `reach` values add to it: twice as many each time
    while reach < told.size and kept**reach > _NOTHING:
        means[reach:] += kept**reach * means[:-reach]
        reach *= 2
    return np.asarray(means[np.maximum(np.cumsum(known) - 1, 0)])
