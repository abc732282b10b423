"""The reader: plays a broadcast to the outlet of one of those who share it."""

from collections.abc import Mapping, Sequence
from itertools import takewhile

from inference.gateway.coalescing.answer import given_again, without_timings
from inference.gateway.coalescing.broadcast import Broadcast, Piece
from inference.gateway.coalescing.errors import LaggedError
from inference.gateway.errors import GatewayError
from inference.gateway.outlet import Outlet, Whole


class Reader:
    """Hands on a broadcast, first what has been, then what comes.

    `headers` are None for the one that it is computed for; the others get them too, so that
    they can tell. Nothing is older for a reader than itself, which is since `since`.
    """

    def __init__(
        self, broadcast: Broadcast, *, since: float, headers: Mapping[str, str] | None
    ) -> None:
        self._broadcast = broadcast
        self._cursor = broadcast.join()
        self._since = since
        self._headers = headers
        self._has_begun = False

    def leave(self) -> None:
        """Read no further."""
        self._broadcast.leave(self._cursor)

    async def play(self, outlet: Outlet) -> bool:
        """Hand on all of it; tell whether it was what was asked for."""
        broadcast, cursor = self._broadcast, self._cursor
        while True:
            try:
                pieces = broadcast.ahead(cursor)
            except LaggedError as error:
                await outlet.fail(error)
                return False
            if pieces:
                await self._write(pieces, outlet)
            elif broadcast.is_over:
                await self._finish(broadcast.ending, outlet)
                return broadcast.is_success
            else:
                cursor.news.clear()
                await cursor.news.wait()

    async def _write(self, pieces: Sequence[Piece], outlet: Outlet) -> None:
        """Write what arrived at one time for this reader: of a replay, all."""
        await self._begin(outlet)
        at = max(pieces[0].at, self._since)
        together = self._together(pieces, at) if len(pieces) > 1 else pieces
        events = [event for piece in together for event in piece.events]
        wanted = events if self._headers is None else without_timings(events)
        if wanted:
            await outlet.write(wanted, at)
        self._broadcast.advance(self._cursor, len(together))

    def _together(self, pieces: Sequence[Piece], at: float) -> Sequence[Piece]:
        return list(takewhile(lambda piece: max(piece.at, self._since) == at, pieces))

    async def _begin(self, outlet: Outlet) -> None:
        if not self._has_begun:
            self._has_begun = True
            await outlet.begin({**self._broadcast.headers, **(self._headers or {})})

    async def _finish(self, ending: Whole | GatewayError | None, outlet: Outlet) -> None:
        if isinstance(ending, GatewayError):
            await outlet.fail(ending)
        elif ending is None:
            await self._begin(outlet)
            await outlet.end()
        elif self._headers is None:
            await outlet.whole(ending)
        else:
            await outlet.whole(given_again(ending, at=self._since, headers=self._headers))
