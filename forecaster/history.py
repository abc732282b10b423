"""A history as models see it: roots of the rate, on which the noise of counts is level."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

_DAY_MINUTES = 24.0 * 60.0


@dataclass(frozen=True)
class History:
    """The square root of the rate in each step up to the origin; NaN marks a gap.

    At least one value is known. What is derived is kept, for many models ask for the same.
    """

    values: Floats
    step: float  # seconds
    season: int  # steps in a day, or in whatever comes again
    end: float = 0.0  # when the last step ended, seconds since the epoch

    def __post_init__(self) -> None:
        if not np.isfinite(self.values).any():
            raise ValueError("expected at least one value that is no gap")

    @classmethod
    def of_rates(cls, rates: Floats, *, step: float, season: int, end: float = 0.0) -> "History":
        """Return the history of rates, NaN where they are not known."""
        return cls(np.sqrt(rates), step, season, end)

    @property
    def size(self) -> int:
        """Number of steps."""
        return int(self.values.size)

    @cached_property
    def known(self) -> Mask:
        """Where the rate is known."""
        return np.isfinite(self.values)

    @cached_property
    def filled(self) -> Floats:
        """The latest value known at each step; before the first, the first."""
        index = np.maximum.accumulate(np.where(self.known, np.arange(self.size), -1))
        return self.values[np.where(index < 0, int(np.argmax(self.known)), index)]

    def steps(self, minutes: float) -> int:
        """Return how many steps so many minutes are, one at least.

        They are minutes of the day that a season stands for, whose time may be compressed.
        """
        return max(1, round(self.season * minutes / _DAY_MINUTES))

    def minutes(self, steps: Indices) -> Floats:
        """Return how many minutes of the day so many steps are."""
        return np.asarray(steps * (_DAY_MINUTES / self.season))

    def mean(self, window: int) -> Floats:
        """Return the mean of what is known in the `window` steps up to each step.

        Where nothing is, the latest value before.
        """
        if window not in self._means:
            self._means[window] = self._mean(window)
        return self._means[window]

    def after(self, origins: Indices, horizons: Indices) -> Floats:
        """Return what came so many steps after each origin: origins x horizons, NaN if unknown."""
        index = origins[:, None] + horizons
        inside = index < self.size
        return np.where(inside, self.values[np.minimum(index, self.size - 1)], np.nan)

    @cached_property
    def _means(self) -> dict[int, Floats]:
        return {}

    @cached_property
    def sums(self) -> tuple[Floats, Indices]:
        """Sums of what is known, and how much is, before each step and after the last."""
        values = np.where(self.known, self.values, 0.0)
        return (
            np.concatenate([[0.0], np.cumsum(values)]),
            np.concatenate([[0], np.cumsum(self.known)]),
        )

    def _mean(self, window: int) -> Floats:
        if window == 1:
            return self.filled
        sums, counts = self.sums
        ends = np.arange(1, self.size + 1)
        begins = np.maximum(ends - window, 0)
        known = counts[ends] - counts[begins]
        total = sums[ends] - sums[begins]
        return np.where(known > 0, total / np.maximum(known, 1), self.filled)
