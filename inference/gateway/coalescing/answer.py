"""The answer: all of it, kept to be given again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from inference.gateway.events import Event
from inference.gateway.outlet import Outlet, Whole
from inference.gateway.timeline import Usage

_EVENT_BYTES = 200  # what an event takes in memory beside its bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer that is what was asked for: in one piece, or as a stream."""

    whole: Whole | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # of a stream
    events: tuple[Event, ...] = ()

    @property
    def usage(self) -> Usage | None:
        """The tokens that it took."""
        if self.whole is not None:
            return self.whole.usage
        told = (event.usage for event in reversed(self.events) if event.usage is not None)
        return next(told, None)

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        return size_of(self.events) if self.whole is None else len(self.whole.body)

    async def deliver(self, outlet: Outlet, *, at: float, headers: Mapping[str, str]) -> None:
        """Give it again, at `at`: a stream as a stream."""
        if self.whole is not None:
            await outlet.whole(given_again(self.whole, at=at, headers=headers))
        else:
            await outlet.begin({**self.headers, **headers})
            await outlet.write(without_timings(self.events), at)
            await outlet.end()


def given_again(whole: Whole, *, at: float, headers: Mapping[str, str]) -> Whole:
    """Return an answer as another gets it that asks at `at`, or who waits since then.

    A replica's timings are those of the request that it computed, and of no other.
    """
    first = at if whole.first_token is None else max(whole.first_token, at)
    return replace(whole, headers={**whole.headers, **headers}, timings=None, first_token=first)


def without_timings(events: Iterable[Event]) -> list[Event]:
    """Return the events without what a replica tells the gateway only."""
    return [event for event in events if event.timings is None]


def size_of(events: Iterable[Event]) -> int:
    """Return the bytes that events take in memory, about."""
    return sum([len(event.raw) + _EVENT_BYTES for event in events])
