"""Back-off: how long to wait before starting again after starts or replicas have failed."""

import math


class Backoff:
    """The first failure is replaced at once; each further one doubles the wait, up to a bound."""

    def __init__(
        self,
        *,
        first_seconds: float = 1.0,
        longest_seconds: float = 60.0,
        forget_seconds: float = 60.0,
    ) -> None:
        self._first = first_seconds
        self._longest = longest_seconds
        self._forget = forget_seconds
        self._failures = 0
        self._last = -math.inf

    def failed(self, now: float, *, started: float) -> None:
        """Count the failure of what was started then, unless it belongs to the last one.

        What was started before the last failure died of the same cause, as when somebody kills
        all replicas; only what was started since shows that starting does not help.
        """
        if started <= self._last:
            return
        if now - self._last > self._forget + self.wait_seconds:
            self._failures = 0
        self._failures += 1
        self._last = now

    def may_start(self, now: float) -> bool:
        """Tell whether the wait is over."""
        return now >= self._last + self.wait_seconds

    @property
    def wait_seconds(self) -> float:
        """How long to wait after the last failure."""
        if self._failures < 2:  # noqa: PLR2004 - one failure alone is replaced at once
            return 0.0
        return min(self._first * 2.0 ** min(self._failures - 2, 60), self._longest)
