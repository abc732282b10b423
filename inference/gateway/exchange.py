"""One request under way: what was asked, its timeline, and how it ends."""

from dataclasses import dataclass, field

from aiohttp import web

from inference.gateway.completion import Completion
from inference.gateway.errors import GatewayError
from inference.gateway.events import Event
from inference.gateway.timeline import Outcome, Timeline

CLIENT_CLOSED_REQUEST = 499  # not a standard code, but the one that proxies use


@dataclass(slots=True)
class Exchange:
    """A request for a known model between its arrival and the last byte of its answer.

    `status` is what the client is told, or would be told had its stream not begun.
    """

    request: web.Request
    ask: Completion
    request_id: str
    timeline: Timeline
    trace: dict[str, str] = field(default_factory=dict)  # W3C headers for the replica
    outcome: Outcome = Outcome.ANSWERED
    status: int = 200
    replica: str | None = None
    is_whole: bool = False  # the client has had all of the answer

    def end(self, outcome: Outcome, status: int) -> None:
        """Note how the request ends."""
        self.outcome = outcome
        self.status = status

    def fail(self, error: GatewayError) -> None:
        """Note that the gateway gives up on the request."""
        self.end(error.outcome, error.status)

    def leave(self) -> None:
        """Note that the client left; once it has its whole answer, it may."""
        if not self.is_whole:
            self.end(Outcome.DISCONNECTED, CLIENT_CLOSED_REQUEST)

    def answered(self, status: int) -> None:
        """Note the status of a replica's whole answer."""
        if status >= 500:  # noqa: PLR2004 - the class of server errors
            self.end(Outcome.REPLICA_ERROR, status)
        elif status >= 400:  # noqa: PLR2004 - the class of client errors
            self.end(Outcome.REJECTED, status)
        else:
            self.end(Outcome.ANSWERED, status)

    def take_in(self, event: Event, *, at: float) -> None:
        """Note what one event of the answer's stream tells."""
        if event.has_content:
            self.timeline.token_arrived(at)
        if event.usage is not None:
            self.timeline.usage = event.usage
        if event.is_error:
            self.end(Outcome.REPLICA_ERROR, 502)
