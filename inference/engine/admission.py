"""When waiting requests may join: continuous, static and dynamic batching, as pure rules.

The same rules serve models that generate, whose requests join a running batch, and models
that answer in one step, which ask with nothing running.
"""

from dataclasses import dataclass
from typing import Protocol


class Admission(Protocol):
    """Decides how many of those who wait may join now."""

    def admits(self, waiting: int, running: int, oldest_wait: float) -> int:
        """Return how many may join, when the first has waited `oldest_wait` seconds."""
        ...

    def look_again(self, waiting: int, running: int, oldest_wait: float) -> float | None:
        """Return the seconds until time alone admits more; None where only events do."""
        ...


@dataclass(frozen=True, slots=True)
class Continuous:
    """Everybody joins as soon as there is room."""

    def admits(self, waiting: int, running: int, oldest_wait: float) -> int:  # noqa: ARG002
        """Admit all."""
        return waiting

    def look_again(self, waiting: int, running: int, oldest_wait: float) -> float | None:  # noqa: ARG002
        """Wait for events only."""
        return None


@dataclass(frozen=True, slots=True)
class Static:
    """Up to `size` join together once the batch before them has wholly ended."""

    size: int

    def __post_init__(self) -> None:
        _check_size(self.size)

    def admits(self, waiting: int, running: int, oldest_wait: float) -> int:  # noqa: ARG002
        """Admit a batch where none runs."""
        return 0 if running else min(waiting, self.size)

    def look_again(self, waiting: int, running: int, oldest_wait: float) -> float | None:  # noqa: ARG002
        """Wait for events only."""
        return None


@dataclass(frozen=True, slots=True)
class Dynamic:
    """As static, but a batch waits until it is full or its first member has waited `delay`."""

    size: int
    delay: float  # seconds

    def __post_init__(self) -> None:
        _check_size(self.size)
        if not self.delay >= 0:
            raise ValueError(f"expected a delay of 0 seconds or more, got {self.delay}")

    def admits(self, waiting: int, running: int, oldest_wait: float) -> int:
        """Admit a batch that is full or has waited long enough, where none runs."""
        if running or (waiting < self.size and oldest_wait < self.delay):
            return 0
        return min(waiting, self.size)

    def look_again(self, waiting: int, running: int, oldest_wait: float) -> float | None:
        """Wait for the end of the delay."""
        if running or not waiting:
            return None
        return max(0.0, self.delay - oldest_wait)


def _check_size(size: int) -> None:
    if size < 1:
        raise ValueError(f"expected batches of 1 or more, got {size}")
