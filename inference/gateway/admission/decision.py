"""The decision: whether a newcomer may wait, or has to come back later."""

from dataclasses import dataclass
from enum import StrEnum


class TurnedAway(StrEnum):
    """Why a request has to come back later; the value is the `reason` label."""

    PREDICTED_WAIT = "predicted_wait"
    QUEUE_FULL = "queue_full"
    SHED = "shed"  # from the line, for one that is preferred
    EXPIRED = "expired"  # in line for so long that its answer would be of no use


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a newcomer may expect, and what it can bear."""

    wait: float | None  # seconds until a replica takes it; None where that is not known
    first_token: float  # seconds from there to its first token
    budget: float  # seconds for both
    headroom: float  # share of the budget that predictions may use

    @property
    def allowed(self) -> float:
        """The longest predicted wait with which it is let in.

        Where the first token alone takes the budget, half of that is still for waiting: else
        a slow model would serve nobody who does not find it idle.
        """
        return self.headroom * (self.budget - min(self.first_token, self.budget / 2))

    @property
    def is_hopeless(self) -> bool:
        """Whether it would miss its budget; not knowing is no reason to say so."""
        return self.wait is not None and self.wait > self.allowed
