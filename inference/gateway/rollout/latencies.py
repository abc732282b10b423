"""Latencies as counts in narrow bins: however many requests, a few hundred numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

_GROWTH = 1.02  # of a bin's edges: the error of a quantile is below 2 %
_SHORTEST_SECONDS = 1e-5
_LOG_GROWTH = math.log(_GROWTH)
_MOST_BINS = 1000  # the last begins at 10 µs · 1.02^1000, about an hour


def bin_of(seconds: float) -> int:
    """Return the bin of one latency: bin i ends at `edge(i)`."""
    if not seconds > _SHORTEST_SECONDS:
        return 0
    return min(math.ceil(math.log(seconds / _SHORTEST_SECONDS) / _LOG_GROWTH), _MOST_BINS)


def edge(number: int) -> float:
    """Return the upper edge of a bin, in seconds."""
    return float(_SHORTEST_SECONDS * _GROWTH**number)


@dataclass(frozen=True, slots=True)
class Latencies:
    """How many latencies fell into each bin."""

    counts: Mapping[int, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many latencies there are."""
        return sum(self.counts.values())

    def smallest(self, rank: int) -> tuple[float, float]:
        """Return the edges between which the `rank`-th smallest lies, counted from 1.

        Before the first it is (0, 0), beyond the last (inf, inf).
        """
        if rank < 1:
            return 0.0, 0.0
        numbers = sorted(self.counts)
        for number, total in zip(
            numbers, accumulate(self.counts[one] for one in numbers), strict=True
        ):
            if total >= rank:
                return (edge(number - 1) if number else 0.0), edge(number)
        return math.inf, math.inf

    def quantile(self, share: float) -> float | None:
        """Return the quantile in seconds; None where there is nothing to take it of."""
        if not self.counts:
            return None
        low, high = self.smallest(max(1, math.ceil(share * self.count)))
        return math.sqrt(low * high) if low else high

    def plus(self, other: "Latencies") -> "Latencies":
        """Return both together."""
        summed = dict(self.counts)
        for number, count in other.counts.items():
            summed[number] = summed.get(number, 0) + count
        return Latencies(summed)
