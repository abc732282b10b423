"""Confidence that holds at every look: intervals that may be read after each request.

A usual test may be made once; one that is repeated each second finds a difference sooner or
later where there is none. These intervals come from Robbins' mixture: under the true share p,
the chance of all counts averaged over a beta prior, divided by their chance at p, is a
martingale that starts at 1, and by Ville's inequality exceeds 1/level at any time with a chance
of at most `level`. What p does not exceed it for is the interval, good at all times at once.
"""

import math
from collections.abc import Callable

# Jeffreys' prior; and for the rank of a 95th percentile a prior that expects just that.
_SHARE_PRIOR = (0.5, 0.5)
_RANK_PRIOR_WEIGHT = 20.0
_HALVINGS = 40


def share_bounds(hits: int, tries: int, *, level: float) -> tuple[float, float]:
    """Return the shares between which the true one lies, however often this is asked."""
    if tries == 0:
        return 0.0, 1.0
    seen = hits / tries
    low = 0.0 if hits == 0 else _edge(hits, tries, inside=seen, outside=0.0, level=level)
    high = 1.0 if hits == tries else _edge(hits, tries, inside=seen, outside=1.0, level=level)
    return low, high


def rank_bounds(tries: int, *, share: float, level: float) -> tuple[int, int]:
    """Return how many of `tries` values may lie at or below the true quantile `share`.

    (a, b): the quantile is at least the a-th smallest value, and below the (b + 1)-th.
    """
    prior = (_RANK_PRIOR_WEIGHT * share, _RANK_PRIOR_WEIGHT * (1 - share))

    def is_possible(hits: int) -> bool:
        return _evidence(hits, tries, share, prior) < -math.log(level)

    middle = round(share * tries)
    low = _last(lambda step: is_possible(middle - step), middle)
    high = _last(lambda step: is_possible(middle + step), tries - middle)
    return middle - low, middle + high


def _edge(hits: int, tries: int, *, inside: float, outside: float, level: float) -> float:
    """Find the outermost share that the counts do not contradict, a hair too far out."""
    limit = -math.log(level)
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if _evidence(hits, tries, middle, _SHARE_PRIOR) < limit:
            inside = middle
        else:
            outside = middle
    return outside


def _evidence(hits: int, tries: int, share: float, prior: tuple[float, float]) -> float:
    """Return the logarithm of the mixture's chance over that at `share`."""
    if not 0 < share < 1:
        return math.inf  # asked only where both hits and misses were seen, or on the far side
    misses = tries - hits
    mixture = _log_beta(hits + prior[0], misses + prior[1]) - _log_beta(*prior)
    return mixture - hits * math.log(share) - misses * math.log1p(-share)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _last(is_possible: Callable[[int], bool], most: int) -> int:
    """Find by halving the last of 0..most that is possible; they are so up to some point."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_possible(middle) else (low, middle)
    return low
