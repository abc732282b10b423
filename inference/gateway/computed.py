"""An answer that is computed for several: noted for the one it is computed for, then shared."""

from collections.abc import Mapping, Sequence

from inference.gateway.errors import GatewayError
from inference.gateway.events import Event
from inference.gateway.exchange import Exchange
from inference.gateway.outlet import Outlet, Whole


def _ignore(_seconds: float) -> None:
    """Leave gaps to those who are fed: each has its own."""


class Computed:
    """Passes an answer on and marks the exchange that computes it (an Outlet).

    `leader` is the exchange of the request that came first; it learns which way it went.
    """

    def __init__(self, outlet: Outlet, exchange: Exchange, leader: Exchange) -> None:
        self._outlet = outlet
        self._exchange = exchange
        self._leader = leader

    @property
    def is_begun(self) -> bool:
        """Whether any of the answer has gone out."""
        return self._outlet.is_begun

    async def whole(self, answer: Whole) -> None:
        """Note and share an answer in one piece."""
        exchange = self._exchange
        exchange.answered(answer.status)
        exchange.timeline.usage = answer.usage
        exchange.timeline.replica = answer.timings
        exchange.timeline.first_token = answer.first_token
        self._leader.adopt(exchange)
        await self._outlet.whole(answer)

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Share the head of a stream."""
        self._leader.adopt(self._exchange)
        await self._outlet.begin(headers)

    async def write(self, events: Sequence[Event], at: float) -> None:
        """Note and share events."""
        self._exchange.take_in(events, at=at, gap=_ignore)
        await self._outlet.write(events, at)

    async def fail(self, error: GatewayError) -> None:
        """Share an error."""
        self._leader.adopt(self._exchange)
        await self._outlet.fail(error)

    async def end(self) -> None:
        """Share the end of the stream."""
        await self._outlet.end()
