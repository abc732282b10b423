"""HTTP/1.1 as a load generator speaks it: little work per byte, and a time for every piece."""

import asyncio
import re
import time
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
_HEAD_END = b"\r\n\r\n"
LOST = 0  # the status of an answer that never came whole


@dataclass(slots=True)
class Answer:
    """One answer as it arrived; times are seconds of the machine's monotonic clock."""

    sent: float
    status: int = LOST
    first: float | None = None  # the first event, or all of a whole answer
    ended: float | None = None
    events: int = 0
    is_broken: bool = False  # the other side hung up before the end
    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        """Whether all of it came, and it is what was asked for."""
        return self.status == 200 and self.ended is not None


def request(path: str, body: bytes, headers: str = "") -> bytes:
    """Return the bytes of a POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One kept-alive connection, which asks one thing at a time."""

    def __init__(self, *, keeps_pieces: bool = False) -> None:
        self.answer = Answer(0.0)
        self._keeps = keeps_pieces
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[Answer] | None = None
        self._begun: asyncio.Future[None] | None = None
        self._head = b""
        self._left: int | None = None  # bytes of a whole answer; None where it is chunked
        self._tail = b""
        self._is_leaving = False
        self.is_open = False

    @classmethod
    async def open(cls, port: int, *, keeps_pieces: bool = False) -> "Connection":
        """Connect to a port of this machine."""
        loop = asyncio.get_running_loop()
        _, own = await loop.create_connection(
            lambda: cls(keeps_pieces=keeps_pieces), "127.0.0.1", port
        )
        return own

    def ask(self, data: bytes, *, sent: float | None = None) -> "asyncio.Future[Answer]":
        """Send a request, due at `sent`; the future holds its answer once whole or lost."""
        loop = asyncio.get_running_loop()
        self._done, self._begun = loop.create_future(), loop.create_future()
        self._head, self._left, self._tail = b"", None, b""
        self.answer = Answer(time.monotonic() if sent is None else sent)
        if self._transport is None or not self.is_open:
            self._finish()
        else:
            self._transport.write(data)
        return self._done

    async def begun(self) -> None:
        """Wait until the answer's first event is here, or never will be."""
        if self._begun is not None:
            await self._begun

    def leave(self) -> None:
        """Cut the connection, as a client does that has gone."""
        self._is_leaving = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that it is open."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP has no other
        self._transport, self.is_open = transport, True

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        now = time.monotonic()
        if self.answer.status == LOST:
            data = self._read_head(data)
            if not data:
                return
        self._take(data, now)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        """Give up what was not whole."""
        self.is_open = False
        self.answer.is_broken = self.answer.ended is None and not self._is_leaving
        self._finish()

    def _read_head(self, data: bytes) -> bytes:
        """Return what of the data lies beyond the head, once that is whole."""
        self._head += data
        end = self._head.find(_HEAD_END)
        if end < 0:
            return b""
        head, rest = self._head[:end], self._head[end + 4 :]
        self.answer.status = int(head[9:12])
        length = _LENGTH.search(head)
        self._left = int(length.group(1)) if length else None
        return rest

    def _take(self, data: bytes, now: float) -> None:
        answer = self.answer
        events = data.count(b"data: ")
        answer.events += events
        if answer.first is None and (events or self._left is not None):
            answer.first = now
            if self._begun is not None and not self._begun.done():
                self._begun.set_result(None)
        if self._keeps:
            answer.pieces.append((now, data))
        if self._is_last(data):
            answer.ended = now
            self._finish()

    def _is_last(self, data: bytes) -> bool:
        if self._left is not None:
            self._left -= len(data)
            return self._left <= 0
        self._tail = (self._tail + data)[-len(_LAST_CHUNK) - 2 :]
        return self._tail.endswith(b"\r\n" + _LAST_CHUNK)

    def _finish(self) -> None:
        for future in (self._begun, self._done):
            if future is not None and not future.done():
                future.set_result(self.answer if future is self._done else None)  # type: ignore[arg-type]
