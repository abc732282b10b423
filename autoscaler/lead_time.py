"""Lead time: how long it takes from deciding for a replica to having it, as measured."""

from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Lead:
    """Seconds until a wanted replica is there: started cold, or woken from standby."""

    start: float
    wake: float


class LeadTimes:
    """Recent start and wake durations; a prior stands in until the first is measured."""

    def __init__(
        self,
        *,
        start_prior: float = 30.0,
        wake_prior: float = 1.0,
        quantile: float = 0.9,
        keep: int = 50,
    ) -> None:
        self._quantile = quantile
        self._priors = Lead(start_prior, wake_prior)
        self._starts: deque[float] = deque(maxlen=keep)
        self._wakes: deque[float] = deque(maxlen=keep)

    def record_start(self, seconds: float) -> None:
        """Remember how long a cold start took."""
        self._starts.append(seconds)

    def record_wake(self, seconds: float) -> None:
        """Remember how long waking a standby replica took."""
        self._wakes.append(seconds)

    @property
    def start(self) -> float:
        """Seconds that nine in ten recent cold starts stayed below."""
        return self._quantile_of(self._starts, self._priors.start)

    @property
    def wake(self) -> float:
        """Seconds that nine in ten recent wakes stayed below."""
        return self._quantile_of(self._wakes, self._priors.wake)

    @property
    def lead(self) -> Lead:
        """Both, as the value that the planner takes."""
        return Lead(self.start, self.wake)

    def _quantile_of(self, measured: deque[float], prior: float) -> float:
        return float(np.quantile(measured, self._quantile)) if measured else prior
