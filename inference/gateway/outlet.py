"""The outlet: where an answer goes, be it one client or all who wait for the same answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from inference.gateway.errors import GatewayError
from inference.gateway.events import Event, ResponseAttributes
from inference.gateway.timeline import ReplicaTimings, Usage


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer in one piece, as a replica gave it."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    usage: Usage | None = None
    timings: ReplicaTimings | None = None
    response: ResponseAttributes = field(default_factory=dict)
    first_token: float | None = None  # when, on the gateway's monotonic clock

    @property
    def is_ok(self) -> bool:
        """Whether the answer is what was asked for."""
        return self.status < 400  # noqa: PLR2004 - the classes of errors begin there


class Outlet(Protocol):
    """Takes one answer: `whole`, or `begin`, any number of `write`, and `end` or `fail`."""

    @property
    def is_begun(self) -> bool:
        """Whether any of the answer has gone out: from then on no other replica may serve it."""
        ...

    async def whole(self, answer: Whole) -> None:
        """Take an answer in one piece."""
        ...

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Take the head of a stream, before its first events."""
        ...

    async def write(self, events: Sequence[Event], at: float) -> None:
        """Take events of a stream that arrived together; waits while the taker is slow."""
        ...

    async def fail(self, error: GatewayError) -> None:
        """Take an error in place of the rest of the answer, or of all of it."""
        ...

    async def end(self) -> None:
        """Take note that the stream is whole."""
        ...
