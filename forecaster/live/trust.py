"""Trust: whether demand still stays below the decision quantiles as often as they say."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecaster.live.tracking import Block, Tracking

# Quantile -> coverage below which it is doubted, and from which on it is believed again.
_BOUNDS: Mapping[float, tuple[float, float]] = {0.9: (0.87, 0.885), 0.99: (0.97, 0.98)}
_LEAST_MISSES = 5  # that a calibrated quantile would have had: fewer say nothing of a share
_LEAST_BLOCKS = 4
_STANDARD_ERRORS = 2.0
_RECENT_BLOCKS = 6  # that must be good before a doubted forecast is believed again


@dataclass(frozen=True, slots=True)
class Finding:
    """A quantile that demand has left too often."""

    quantile: float
    coverage: float
    forecasts: int


@dataclass(frozen=True, slots=True)
class Trust:
    """Whether the forecast is doubted, and since when what demand does is held against it."""

    doubted: bool = False
    since: float = -math.inf

    def next(self, tracking: Tracking) -> "Trust":
        """Return the trust after what has been judged so far.

        A doubt ends when the last quarter of a season was good; what came before that is then
        forgotten, or the same misses would raise the doubt again.
        """
        if not self.doubted:
            return Trust(bool(findings(tracking, since=self.since)), self.since)
        recent = tracking.blocks(since=self.since)[-_RECENT_BLOCKS:]
        if not recent or not _is_good(recent, tracking.quantiles):
            return self
        return Trust(doubted=False, since=recent[0].start)


def findings(tracking: Tracking, *, since: float = -math.inf) -> list[Finding]:
    """Return the decision quantiles whose coverage is too low, and not by chance.

    Misses come in runs, so chance is judged by how much they differ between stretches of time.
    """
    blocks = tracking.blocks(since=since)
    found = []
    for quantile, (lowest, _) in _BOUNDS.items():
        if quantile not in tracking.quantiles:
            continue
        missed, totals = _misses(blocks, tracking.quantiles.index(quantile))
        if len(blocks) < _LEAST_BLOCKS or not _are_enough(totals, quantile):
            continue
        coverage = 1.0 - missed.sum() / totals.sum()
        surely_below = coverage + _STANDARD_ERRORS * _standard_error(missed, totals) < quantile
        if coverage < lowest and surely_below:
            found.append(Finding(quantile, float(coverage), int(totals.sum())))
    return found


def _is_good(blocks: Sequence[Block], quantiles: tuple[float, ...]) -> bool:
    """Tell whether each decision quantile has covered enough, as far as there is enough to say."""
    for quantile, (_, enough) in _BOUNDS.items():
        if quantile not in quantiles:
            continue
        missed, totals = _misses(blocks, quantiles.index(quantile))
        if len(blocks) < _RECENT_BLOCKS or 1.0 - missed.sum() / totals.sum() < enough:
            return False
    return True


def _misses(blocks: Sequence[Block], index: int) -> tuple[np.ndarray, np.ndarray]:
    missed = np.array([block.above(index) for block in blocks], dtype=np.float64)
    totals = np.array([block.total for block in blocks], dtype=np.float64)
    return missed, totals


def _are_enough(totals: np.ndarray, quantile: float) -> bool:
    return bool(totals.sum() * (1.0 - quantile) >= _LEAST_MISSES - 1e-9)


def _standard_error(missed: np.ndarray, totals: np.ndarray) -> float:
    """Return the error of the share of misses, as large as stretches of time differ in it."""
    share, count = missed.sum() / totals.sum(), totals.size
    apart = count / (count - 1) * ((missed - share * totals) ** 2).sum()
    independent = share * (1.0 - share) * totals.sum()
    return float(math.sqrt(max(apart, independent)) / totals.sum())
