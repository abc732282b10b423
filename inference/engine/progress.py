"""Whether an engine or a batcher gets on: its steps, and how long it has had work without one."""

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """The steps of one of them; written by one thread at a time, read by any."""

    steps: int = 0
    at: float = 0.0  # when it last took a step, or was given work while it had none

    def begin(self, now: float) -> None:
        """Note that there is work where there was none."""
        self.at = max(self.at, now)

    def step(self, now: float) -> None:
        """Note that a step was taken."""
        self.steps += 1
        self.at = now

    def age(self, now: float) -> float:
        """Return the seconds without a step, as of now, while there is work."""
        return max(0.0, now - self.at)
