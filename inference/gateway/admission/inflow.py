"""The inflow: how much work of each class the replicas take per second."""

import math

from inference.gateway.tenancy.priority import Priority

_MEMORY_SECONDS = 10.0


class Inflow:
    """Work per second by class, recent seconds counting most."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(Priority, 0.0)
        self._at = 0.0

    def took(self, priority: Priority, work: float, now: float) -> None:
        """Count a request that a replica took."""
        self._decay(now)
        self._sums[priority] += work

    def above(self, priority: Priority, now: float) -> float:
        """Return the work per second of the more urgent classes."""
        self._decay(now)
        work = sum(self._sums[one] for one in Priority if one.rank < priority.rank)
        return work / _MEMORY_SECONDS

    def _decay(self, now: float) -> None:
        if now > self._at:
            kept = math.exp((self._at - now) / _MEMORY_SECONDS)
            for priority in self._sums:
                self._sums[priority] *= kept
            self._at = now
