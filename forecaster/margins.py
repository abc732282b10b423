"""Margins: the whole distribution of demand in each step, through the quantiles forecast."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Knots added in each tail, each twice as far out as the one before: .995 reaches 1 - 1e-6.
TAIL_KNOTS = 12
MOST = 1e150  # beyond any rate, and so far below the highest float that tails stay finite


@dataclass(frozen=True, slots=True)
class Margins:
    """A distribution per step, straight between knots: `values` is steps x levels, rising.

    Beyond the outermost quantiles the tails are exponential, as steep as between the last two:
    twice as rare is as much further again. Nothing lies below zero. Outside the knots it is flat.
    """

    levels: Floats
    values: Floats

    @classmethod
    def through(cls, quantiles: Sequence[float], values: Floats) -> "Margins":
        """Return the margins through `values`, steps x quantiles, raised where they fall."""
        levels = np.asarray(quantiles, dtype=np.float64)
        rising = np.maximum.accumulate(np.clip(values, 0.0, MOST), axis=1)
        rarer = 0.5 ** np.arange(1, TAIL_KNOTS + 1)
        above = _tail(1.0 - levels[::-1], rising[:, ::-1])
        below = _tail(levels, rising)
        low, high = levels[0] * rarer[::-1], 1.0 - (1.0 - levels[-1]) * rarer
        return cls(
            np.concatenate([low, levels, high]),
            np.concatenate([np.maximum(below[:, ::-1], 0.0), rising, above], axis=1),
        )

    def at(self, probabilities: Floats) -> Floats:
        """Return the rates that demand stays below so probably: steps x probabilities."""
        return np.array([np.interp(probabilities, self.levels, row) for row in self.values])

    def below(self, rates: Floats) -> Floats:
        """Return how probably demand is at or below each rate: steps x rates."""
        chances = np.array([np.interp(rates, row, self.levels) for row in self.values])
        outside = [rates < self.values[:, :1], rates >= self.values[:, -1:]]
        return np.select(outside, [0.0, 1.0], chances)


def _tail(rareness: Floats, values: Floats) -> Floats:
    """Return the values of the knots beyond the first: steps x knots, the nearest first."""
    beyond = np.arange(1, TAIL_KNOTS + 1)
    if rareness.size == 1:
        return np.repeat(values[:, :1], TAIL_KNOTS, axis=1)
    halvings = np.log2(rareness[1] / rareness[0])
    slope = (values[:, :1] - values[:, 1:2]) / halvings
    return np.asarray(values[:, :1] + slope * beyond)
