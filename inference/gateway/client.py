"""The client's end of a request: the outlet that is one HTTP connection."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from aiohttp import web

from inference.gateway.errors import GatewayError
from inference.gateway.events import KEEP_ALIVE, Event
from inference.gateway.exchange import Exchange
from inference.gateway.outlet import Whole
from inference.gateway.timings import timings_json

TIMINGS_HEADER = "X-Warmfront-Timings"
REPLICA_HEADER = "X-Warmfront-Replica"
_STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # proxies of the nginx kind pass each event on at once
}


class Client:
    """Writes one answer to one client, and marks its timeline on the way (an Outlet)."""

    def __init__(
        self,
        http: web.Request,
        exchange: Exchange,
        *,
        now: Callable[[], float],
        gap: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._http = http
        self._exchange = exchange
        self._now = now
        self._gap = gap
        self._response: web.StreamResponse | None = None
        self._preparing = asyncio.Lock()  # keep-alives come from elsewhere
        self._is_begun = False
        self.extra_headers: dict[str, str] = {}
        self.last_write = now()
        self.writing_since: float | None = None  # while the client has not taken it yet

    @property
    def is_begun(self) -> bool:
        """Whether any of the answer has gone out; keep-alives are none of it."""
        return self._is_begun

    @property
    def streams(self) -> bool:
        """Whether the answer comes piece by piece."""
        return self._exchange.ask.streams

    @property
    def response(self) -> web.StreamResponse:
        """What the handler returns; nothing was sent where the client left before."""
        return self._response or web.Response()

    async def whole(self, answer: Whole) -> None:
        """Send an answer in one piece."""
        exchange, timeline = self._exchange, self._exchange.timeline
        exchange.answered(answer.status)
        if answer.is_ok:
            timeline.usage, timeline.replica = answer.usage, answer.timings
            exchange.response = answer.response
            if answer.first_token is not None:
                timeline.whole_arrived(self._now(), first_token=answer.first_token)
        headers = {**answer.headers, **self._identity()}
        if answer.is_ok:
            headers[TIMINGS_HEADER] = timings_json(timeline)
        await self._send(web.Response(status=answer.status, body=answer.body, headers=headers))
        exchange.is_whole = True

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Note the head of a stream: it goes out with the first events."""
        if self._response is None:
            self._response = web.StreamResponse(
                headers={**headers, **_STREAM_HEADERS, **self._identity()}
            )

    async def write(self, events: Sequence[Event], at: float) -> None:
        """Pass events on; a client that reads slowly slows the replica down."""
        self._exchange.take_in(events, at=at, gap=self._gap)
        data = b"".join([self._as_wanted(event) for event in events])
        if data:
            self._is_begun = True
            await self._write(data)
        if any(event.is_done for event in events):
            self._exchange.is_whole = True

    async def fail(self, error: GatewayError) -> None:
        """Tell the client what went wrong, as far as its answer has come."""
        self._exchange.fail(error)
        if self._response is not None and self._response.prepared:
            await self._write(error.event())
            await self.end()
        else:
            response = error.response()
            response.headers.update(self._identity())
            await self._send(response)

    async def end(self) -> None:
        """Send what closes a stream."""
        self._exchange.is_whole = True
        if self._response is not None:
            with self._writing():
                await self._response.write_eof()

    async def keep_alive(self) -> None:
        """Send a comment, so that nobody on the way takes a quiet stream for a dead one."""
        await self.begin({})
        await self._write(KEEP_ALIVE)

    def hang_up(self) -> None:
        """Close the connection of a client that takes nothing; its handler is cancelled."""
        if self._http.transport is not None:
            self._http.transport.abort()

    def _as_wanted(self, event: Event) -> bytes:
        if event.timings is not None or (
            event.is_usage_only and not self._exchange.ask.wants_usage
        ):
            return b""
        if event.is_done and self._http.headers.get(TIMINGS_HEADER):
            return (
                b": timings "
                + timings_json(self._exchange.timeline).encode()
                + b"\n\n"
                + event.raw
            )
        return event.raw

    async def _send(self, response: web.Response) -> None:
        self._response, self._is_begun = response, True
        with self._writing():
            await response.prepare(self._http)
            await response.write_eof()

    async def _write(self, data: bytes) -> None:
        response = self._response
        assert response is not None  # noqa: S101 - `begin` comes first
        with self._writing():
            if not response.prepared:
                async with self._preparing:
                    await response.prepare(self._http)  # twice is fine
            await response.write(data)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Note since when the client has been given something that it has not taken."""
        self.writing_since = self._now()
        try:
            yield
        finally:
            self.writing_since = None
            self.last_write = self._now()

    def _identity(self) -> dict[str, str]:
        """Headers that tell a client which request this was and who answered it."""
        exchange = self._exchange
        replica = {} if exchange.replica is None else {REPLICA_HEADER: exchange.replica}
        return {"X-Request-ID": exchange.request_id, **replica, **self.extra_headers}
