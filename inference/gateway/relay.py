"""Relaying a replica's answer: opened at its first byte, then passed on piece by piece."""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from inference.gateway.client import REPLICA_HEADER, TIMINGS_HEADER
from inference.gateway.errors import ReplicaLostError
from inference.gateway.events import (
    Event,
    Splitter,
    read_event,
    read_timings,
    read_usage,
    response_attributes,
)
from inference.gateway.exchange import Exchange
from inference.gateway.outlet import Outlet, Whole
from inference.gateway.upstream import Upstream, replica_faults
from telemetry.clock import Clock
from telemetry.process_table import ReplicaRecord

_FINISH_SECONDS = 1.0
_KEPT_HEADERS = ("Content-Type", "Retry-After", "retry-after-ms", "x-should-retry")


@dataclass(slots=True)
class Opened:
    """An answer that has begun: all of it, or a stream with its first events at hand."""

    record: ReplicaRecord
    sent: float  # when the request went to the replica, as `at` on the monotonic clock
    at: float  # when the first of the answer was here
    answer: aiohttp.ClientResponse
    whole: Whole | None = None
    first: Sequence[Event] = ()
    splitter: Splitter = field(default_factory=Splitter)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that a client gets too."""
        return _kept(self.answer.headers, self.record)

    def close(self) -> None:
        """Let go of the connection; before the end of the answer, that cancels it."""
        self.answer.close()


class Relay:
    """Opens answers, and passes them on to where they go."""

    def __init__(self, upstream: Upstream, *, clock: Clock) -> None:
        self._upstream = upstream
        self._clock = clock

    async def open(self, exchange: Exchange, record: ReplicaRecord) -> Opened:
        """Send the request to a replica and wait for the first of its answer."""
        sent = self._clock.monotonic()
        answer = await self._upstream.post(exchange, record)
        opened = Opened(record, sent, sent, answer)
        try:
            if answer.content_type == "text/event-stream":
                while not opened.first:
                    opened.first = await self._next(opened)
            else:
                opened.whole = await self._read_whole(opened)
        except BaseException:
            opened.close()
            raise
        opened.at = self._clock.monotonic()
        return opened

    async def pass_on(self, opened: Opened, outlet: Outlet) -> None:
        """Write the answer; a taker that is slow slows the replica down."""
        if opened.whole is not None:
            return await outlet.whole(opened.whole)
        await outlet.begin(opened.headers)
        events, at = opened.first, opened.at
        while True:
            await outlet.write(events, at)
            if any(event.is_done or event.is_error for event in events):
                await _finish(opened.answer)
                return await outlet.end()
            events = await self._next(opened)
            at = self._clock.monotonic()

    async def _next(self, opened: Opened) -> list[Event]:
        """Return the events that the next piece completes."""
        replica = opened.record.id
        with replica_faults(replica):
            data = await opened.answer.content.readany()
            if not data:
                raise ReplicaLostError(
                    f"Replica '{replica}' ended its answer early; send the request again."
                )
            return [read_event(raw) for raw in opened.splitter.feed(data)]

    async def _read_whole(self, opened: Opened) -> Whole:
        answer = opened.answer
        with replica_faults(opened.record.id):
            body = await answer.read()
        told = answer.headers.get(TIMINGS_HEADER, "")
        ttft, now = read_ttft(told), self._clock.monotonic()
        fields = _fields_of(body) if answer.ok else {}
        return Whole(
            answer.status,
            body,
            _kept(answer.headers, opened.record),
            usage=read_usage(fields),
            timings=read_timings(told),
            response=response_attributes(fields),
            first_token=None if ttft is None else min(opened.sent + ttft, now),
        )


async def _finish(answer: aiohttp.ClientResponse) -> None:
    """Read what closes a stream, so that its connection can serve again; the answer is whole."""
    if answer.content.at_eof():
        return
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_FINISH_SECONDS):
            await answer.read()


def read_ttft(header: str | None) -> float | None:
    """Return the seconds to the first token that a replica reports, if it does."""
    try:
        ttft = json.loads(header or "")["ttft"]
    except (ValueError, TypeError, KeyError):
        return None
    is_number = isinstance(ttft, int | float) and math.isfinite(ttft)
    return float(ttft) if is_number and ttft >= 0 else None


def _fields_of(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _kept(headers: Mapping[str, str], record: ReplicaRecord) -> dict[str, str]:
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    return {**kept, REPLICA_HEADER: record.id}
