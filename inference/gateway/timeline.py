"""The timeline of one request: every moment is read once, everything else is derived from it."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a request ended; the value is the `error_type` label, empty where all went well."""

    ANSWERED = ""
    REJECTED = "rejected"  # the replica found fault with the request (4xx)
    NO_REPLICA = "no_replica"
    REPLICA_ERROR = "replica_error"
    REPLICA_LOST = "replica_lost"
    TIMEOUT = "timeout"
    DISCONNECTED = "client_disconnected"
    GATEWAY_ERROR = "gateway_error"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, as its replica counted them."""

    input_tokens: int
    output_tokens: int


@dataclass(slots=True)
class Timeline:
    """Moments of one request on one monotonic clock, in seconds; None where not reached."""

    received: float
    routed: float | None = None
    sent: float | None = None  # to the replica that answered, or was last tried
    first_token: float | None = None
    last_token: float | None = None
    flushed: float | None = None
    held_seconds: float = 0.0  # waiting for a replica, in all
    usage: Usage | None = None

    def token_arrived(self, at: float) -> None:
        """Note a piece of the answer; the first one is the first token."""
        if self.first_token is None:
            self.first_token = at
        self.last_token = at

    @property
    def time_to_route(self) -> float | None:
        """Seconds from arrival to the last choice of a replica."""
        return None if self.routed is None else self.routed - self.received

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds from arrival to the first token."""
        return None if self.first_token is None else self.first_token - self.received

    @property
    def time_per_output_token(self) -> float | None:
        """Mean seconds between tokens after the first; None for fewer than two tokens."""
        if self.first_token is None or self.last_token is None or self.usage is None:
            return None
        gaps = self.usage.output_tokens - 1
        return (self.last_token - self.first_token) / gaps if gaps > 0 else None

    @property
    def duration(self) -> float | None:
        """Seconds from arrival to the last byte of the answer."""
        return None if self.flushed is None else self.flushed - self.received

    @property
    def waited_until(self) -> float | None:
        """When the wait for a token ended: with the first, or when the request was given up."""
        return self.flushed if self.first_token is None else self.first_token

    def is_late(self, *, objective: float) -> bool:
        """Tell whether the wait for a token exceeded the objective."""
        until = self.waited_until
        return until is not None and until - self.received > objective
