"""Time as an argument: wall seconds for the store, monotonic seconds for durations."""

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds since the Unix epoch (`now`) and seconds that never step back (`monotonic`)."""

    def now(self) -> float:
        """Return wall-clock time in seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary origin that never step back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Return wall-clock time in seconds since the Unix epoch."""
        return time.time()  # noqa: TID251 - the one place that asks the machine

    def monotonic(self) -> float:
        """Return seconds from an arbitrary origin that never step back."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to, for tests and simulations."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        """Return the time it was last set to."""
        return self._now

    def monotonic(self) -> float:
        """Return the same time as `now`."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`."""
        self._now += seconds
