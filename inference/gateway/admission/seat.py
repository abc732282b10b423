"""A seat: the room on one replica that one request has, from its choice to its end."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from inference.gateway.admission.backlog import Backlog
from inference.gateway.admission.replicas import Replicas
from inference.gateway.routing.choice import Choice
from inference.gateway.routing.want import Want
from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Timeline


@dataclass(slots=True, eq=False)
class Seat:
    """Room that is taken until it is left, by whoever it was given to."""

    backlog: Backlog
    choice: Choice
    want: Want
    sending: AbstractContextManager[None]
    taken_at: float

    def leave(self, timeline: Timeline | None, now: float) -> None:
        """Give the room back; the timeline is that of a request that was answered."""
        first_token = usage = None
        if timeline is not None:
            usage = timeline.usage
            if timeline.first_token is not None:
                first_token = max(0.0, timeline.first_token - self.taken_at)
        supply = self.backlog.supply
        supply.ended(self.want, usage, seconds=now - self.taken_at, first_token=first_token)
        self.backlog.settle(now)
        self.sending.__exit__(None, None, None)


def take_seat(
    roster: Replicas,
    backlog: Backlog,
    choice: Choice,
    want: Want,
    *,
    priority: Priority,
    now: float,
) -> Seat:
    """Take the room that was chosen, before anybody else can."""
    sending = roster.sending(choice.record, want)
    sending.__enter__()  # left with the seat
    backlog.sent(want, priority, now)
    return Seat(backlog, choice, want, sending, now)
