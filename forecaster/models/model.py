"""The seam between models and everything else: history in, the expected path out."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class Model(Protocol):
    """A way to expect demand from its history: one value per step, NaN where there is a gap.

    A history has at least one value that is no gap; a path never has a gap.
    """

    @property
    def name(self) -> str:
        """Short name for logs, tables and labels."""
        ...

    def fit_predict(self, history: Floats, horizon: int) -> Floats:
        """Return the demand expected in each of the next `horizon` steps."""
        ...

    def backtest(self, history: Floats, horizon: int, origins: Indices) -> Floats:
        """Return the paths (origins x horizon) expected from the steps up to each origin.

        NaN where no value was known by then.
        """
        ...


def carried_forward(values: Floats) -> Floats:
    """Return the latest value known at each step; NaN before the first."""
    known = np.where(np.isfinite(values), np.arange(values.size), -1)
    latest = np.maximum.accumulate(known)
    return np.where(latest >= 0, values[latest], np.nan)
