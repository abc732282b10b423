"""Deciles, which is all that some foundation models tell, at other levels."""

from collections.abc import Sequence

import numpy as np

from forecaster.models.model import Floats

DECILES = np.arange(1, 10) / 10.0


def at_levels(deciles: Floats, levels: Sequence[float]) -> Floats:
    """Return what lies at each level of the nine deciles in the last axis, the ends held."""
    at = np.interp(levels, DECILES, np.arange(DECILES.size, dtype=np.float64))
    before = np.minimum(at.astype(np.int64), DECILES.size - 2)
    return np.asarray(
        deciles[..., before] * (1.0 - (at - before)) + deciles[..., before + 1] * (at - before)
    )
