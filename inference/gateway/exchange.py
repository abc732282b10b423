"""One request under way: what was asked and by whom, its timeline, and how it ends."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from inference.gateway.completion import Completion
from inference.gateway.errors import GatewayError
from inference.gateway.events import Event, ResponseAttributes
from inference.gateway.tenancy.caller import Caller
from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Outcome, Timeline

CLIENT_CLOSED_REQUEST = 499  # not a standard code, but the one that proxies use


@dataclass(slots=True)
class Exchange:
    """A request for a known model between its arrival and the last byte of its answer.

    `status` is what the client is told, or would be told had its stream not begun.
    """

    ask: Completion
    caller: Caller
    request_id: str
    timeline: Timeline
    priority: Priority = Priority.STANDARD
    session: str | None = None  # tenant and conversation, where the client names one
    trace: dict[str, str] = field(default_factory=dict)  # W3C headers for the replica
    outcome: Outcome = Outcome.ANSWERED
    status: int = 200
    replica: str | None = None
    version: str | None = None  # of the model, as its replica has it
    is_whole: bool = False  # the client has had all of the answer
    response: ResponseAttributes = field(default_factory=dict)
    is_idempotent: bool = False  # asked twice, the answer is the same
    is_retried: bool = False  # it keeps its place in line, and is not admitted anew

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

    def fork(self) -> "Exchange":
        """Return the same request for those who compute its answer for others as well."""
        return replace(self, timeline=self.timeline.fork(), response={})

    def adopt(self, computed: "Exchange") -> None:
        """Take over how far the request came on its way to a replica."""
        self.replica, self.version = computed.replica, computed.version
        self.timeline.adopt(computed.timeline)

    def take_in(self, events: Sequence[Event], *, at: float, gap: Callable[[float], None]) -> None:
        """Note what events of the answer's stream tell, that arrived together.

        `gap` is told the seconds between two pieces of one choice.
        """
        for event in events:
            if event.has_content:
                seconds = self.timeline.token_arrived(at, choice=event.choice)
                if seconds is not None:
                    gap(seconds)
            if event.usage is not None:
                self.timeline.usage = event.usage
            if event.timings is not None:
                self.timeline.replica = event.timings
            if event.response:
                self.response |= event.response
            if event.is_error:
                self.end(Outcome.REPLICA_ERROR, 502)
