"""Relaying a replica's answer: a stream event by event, anything else in one piece."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress

import aiohttp
from aiohttp import web

from inference.gateway.errors import GatewayError, ReplicaLostError
from inference.gateway.events import Event, Splitter, read_event, read_usage
from inference.gateway.exchange import Exchange
from inference.gateway.limits import GatewayLimits
from inference.gateway.timeline import Usage
from inference.gateway.upstream import replica_faults
from telemetry.clock import Clock

TIMINGS_HEADER = "X-Warmfront-Timings"
_FINISH_SECONDS = 1.0
_KEPT_HEADERS = (
    "Content-Type", "Retry-After", "retry-after-ms", "x-should-retry", TIMINGS_HEADER,
)  # fmt: skip


class Relay:
    """Passes answers on to clients and marks their timelines on the way."""

    def __init__(self, *, clock: Clock, limits: GatewayLimits) -> None:
        self._clock = clock
        self._limits = limits

    async def whole(self, answer: aiohttp.ClientResponse, exchange: Exchange) -> web.Response:
        """Read an answer that comes in one piece; the caller sends it."""
        with replica_faults(str(exchange.replica)):
            body = await answer.read()
        exchange.answered(answer.status)
        if answer.ok:
            self._mark_whole(exchange, answer.headers, body)
        return web.Response(status=answer.status, body=body, headers=_kept(answer.headers))

    async def stream(
        self, answer: aiohttp.ClientResponse, exchange: Exchange
    ) -> web.StreamResponse:
        """Pass a stream on; headers wait for its first event, for until then another may serve."""
        response = web.StreamResponse(
            headers={
                **_kept(answer.headers),
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
                **identity(exchange),
            }
        )
        try:
            await self._pass_on(answer, exchange, response)
        except GatewayError as error:
            if not response.prepared:
                raise
            exchange.fail(error)
            await self._write(response, exchange, error.event())
        return response

    async def _pass_on(
        self, answer: aiohttp.ClientResponse, exchange: Exchange, response: web.StreamResponse
    ) -> None:
        """Write event after event; a client that reads slowly slows the replica down."""
        async with aclosing(self._events(answer, exchange)) as pieces:
            async for events in pieces:
                wanted = b"".join(event.raw for event in events if _is_wanted(event, exchange))
                if wanted:
                    await self._write(response, exchange, wanted)
                if any(event.is_done or event.is_error for event in events):
                    exchange.is_whole = True
                    return await _finish(answer)
        raise ReplicaLostError(
            f"Replica '{exchange.replica}' ended its answer early; send the request again."
        )

    async def _write(self, response: web.StreamResponse, exchange: Exchange, data: bytes) -> None:
        async with patience(exchange.request, self._limits.client_seconds):
            if not response.prepared:
                await response.prepare(exchange.request)
            await response.write(data)

    async def _events(
        self, answer: aiohttp.ClientResponse, exchange: Exchange
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the events of each piece that arrives, marking the timeline."""
        splitter = Splitter()
        while True:
            with replica_faults(str(exchange.replica)):
                async with asyncio.timeout(self._limits.idle_seconds):
                    data = await answer.content.readany()
                events = [read_event(raw) for raw in splitter.feed(data)]
            if not data:
                return
            for event in events:
                exchange.take_in(event, at=self._clock.monotonic())
            yield events

    def _mark_whole(self, exchange: Exchange, headers: Mapping[str, str], body: bytes) -> None:
        timeline, now = exchange.timeline, self._clock.monotonic()
        ttft = read_ttft(headers.get(TIMINGS_HEADER))
        if ttft is not None and timeline.sent is not None:
            timeline.token_arrived(min(timeline.sent + ttft, now))
            timeline.last_token = now
        timeline.usage = _usage_of(body)


async def _finish(answer: aiohttp.ClientResponse) -> None:
    """Read what closes a stream, so that its connection can serve again; the answer is whole."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_FINISH_SECONDS):
            await answer.read()


@asynccontextmanager
async def patience(request: web.Request, seconds: float) -> AsyncIterator[None]:
    """Give a client so long to take what is written to it, then hang up."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client takes nothing") from None


def identity(exchange: Exchange) -> dict[str, str]:
    """Headers that tell a client which request this was and who answered it."""
    replica = {} if exchange.replica is None else {"X-Warmfront-Replica": exchange.replica}
    return {"X-Request-ID": exchange.request_id, **replica}


def read_ttft(header: str | None) -> float | None:
    """Return the seconds to the first token that a replica reports, if it does."""
    try:
        ttft = json.loads(header or "")["ttft"]
    except (ValueError, TypeError, KeyError):
        return None
    is_number = isinstance(ttft, int | float) and math.isfinite(ttft)
    return float(ttft) if is_number and ttft >= 0 else None


def _usage_of(body: bytes) -> Usage | None:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return read_usage(fields) if isinstance(fields, dict) else None


def _is_wanted(event: Event, exchange: Exchange) -> bool:
    return exchange.ask.wants_usage or not event.is_usage_only


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in _KEPT_HEADERS if name in headers}
