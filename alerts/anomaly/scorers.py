"""Scores from residuals: how unusual is the distance between what came and what was expected.

Distances are taken on a square-root scale, on which noise does not grow with the level, and are
measured against what was usual in a trailing window. A gap has no score: missing is neither
normal nor abnormal.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_MAD_TO_DEVIATION = 1.4826  # of a normal distribution
_TINY = 1e-9  # nothing is divided by zero


@dataclass(frozen=True, slots=True)
class ScorerSettings:
    """What is usual, what is beyond it, and how long it must last."""

    window: int = 60  # points that tell what is usual
    least: int = 12  # of them that must be known
    threshold: float = 4.0  # deviations
    persist: int = 3  # points on one side of the band that decide ...
    among: int = 5  # ... among the latest known ones

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.window or self.threshold <= 0:
            raise ValueError(
                f"expected 1 <= least <= window and a threshold above 0, got least {self.least}, "
                f"window {self.window} and threshold {self.threshold}"
            )
        if not self.among / 2 < self.persist <= self.among:
            raise ValueError(
                f"expected persist to be more than half of among, got {self.persist} of "
                f"{self.among}"
            )


@dataclass(frozen=True, slots=True)
class Scores:
    """One value per point; NaN where the point cannot be scored."""

    score: Floats
    expected: Floats  # what the score was taken against
    low: Floats
    high: Floats
    active: Flags


def score(
    actual: Floats, expected: Floats, *, floor: Floats | float, settings: ScorerSettings
) -> Scores:
    """Score each point; `floor` is the least deviation on the root scale that noise alone has."""
    usual = _usual(np.sqrt(actual) - np.sqrt(expected), settings)
    scale = np.maximum(np.maximum(usual, floor), _TINY)
    reach = settings.threshold * scale
    root = _held(np.sqrt(actual), np.sqrt(expected), reach, settings)
    scores = (np.sqrt(actual) - root) / scale
    known = np.isfinite(scores)
    return Scores(
        scores,
        np.where(known, np.square(root), np.nan),
        np.where(known, np.square(np.maximum(root - reach, 0.0)), np.nan),
        np.where(known, np.square(root + reach), np.nan),
        persisting(scores, settings),
    )


def _held(actual: Floats, expected: Floats, reach: Floats, settings: ScorerSettings) -> Floats:
    """Return the expectation, kept for a while as it was when the signal first left its band.

    A forecast that learns quickly would otherwise learn the anomaly before it has persisted.
    Once the while is over the forecast is believed again: a new level becomes the normal one.
    """
    held = expected.copy()
    until = 0
    for point in np.flatnonzero(np.abs(actual - expected) > reach).tolist():
        if point >= until:
            until = point + settings.among
            held[point:until] = expected[point]
    return np.where(np.isfinite(expected), held, np.nan)


def persisting(scores: Floats, settings: ScorerSettings) -> Flags:
    """Tell at each point whether the signal is abnormal: it turns by majority, both ways.

    Points without a score do not vote, and are never active.
    """
    active = np.zeros(scores.size, dtype=np.bool_)
    votes: list[bool] = []
    abnormal = False
    for point in np.flatnonzero(np.isfinite(scores)).tolist():
        votes = [*votes, bool(abs(scores[point]) > settings.threshold)][-settings.among :]
        if votes.count(not abnormal) >= settings.persist:
            abnormal = not abnormal
        active[point] = abnormal
    return active


def poisson_floor(step: float) -> float:
    """Return the deviation of a Poisson count's rate on the root scale, whatever the rate."""
    return 0.5 / math.sqrt(step)


def relative_floor(expected: Floats, share: float) -> Floats:
    """Return the deviation on the root scale of a measurement that is off by a share of itself."""
    return np.sqrt(expected) * share / 2


def trailing_median(values: Floats, settings: ScorerSettings) -> Floats:
    """Return the median of the points before each; NaN where too few are known."""
    return _over_trail(values, settings)


def _usual(residual: Floats, settings: ScorerSettings) -> Floats:
    """Return the robust deviation of the points before each, around what was expected.

    Around the expectation, not around their own middle: an expectation that is always off by
    the same makes a wide band, not a false alarm.
    """
    return _MAD_TO_DEVIATION * _over_trail(np.abs(residual), settings)


def _over_trail(values: Floats, settings: ScorerSettings) -> Floats:
    padded = np.concatenate([np.full(settings.window, np.nan), values[:-1]])
    trails = sliding_window_view(padded, settings.window)
    known = np.isfinite(trails)
    enough = known.sum(axis=1) >= settings.least
    medians = np.full(values.size, np.nan)
    if enough.any():
        medians[enough] = np.nanmedian(trails[enough], axis=1)
    return medians
