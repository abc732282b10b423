"""The broadcast: one answer that is written once and read by many, each at its own pace."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from inference.gateway.coalescing.answer import Answer, size_of
from inference.gateway.coalescing.errors import LaggedError
from inference.gateway.errors import GatewayError
from inference.gateway.events import Event
from inference.gateway.outlet import Whole
from inference.gateway.timeline import Usage


@dataclass(frozen=True, slots=True)
class Piece:
    """Events that arrived together."""

    events: Sequence[Event]
    at: float  # on the gateway's monotonic clock
    size: int  # in bytes of memory, about


@dataclass(slots=True, eq=False)
class Cursor:
    """How far one reader has come, and what wakes it when there is more."""

    position: int = 0  # in pieces, from the first there was
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Broadcast:
    """Keeps what is written to it (an Outlet), and wakes its readers.

    Up to `limit` bytes of a stream are kept from its beginning, for those who come late. Beyond
    that nobody can join, and the oldest is dropped once the fastest reader has had it: the
    writer waits for that one only, and a reader that falls back by more than `limit` has lost.
    `closing` is called when nobody can join any longer, and again at the end, each time before
    the readers are told.
    """

    def __init__(self, *, limit: int, closing: Callable[[], None]) -> None:
        self._limit = limit
        self._closing = closing
        self.headers: dict[str, str] = {}
        self._pieces: list[Piece] = []
        self._dropped = 0  # pieces that are gone; readers count from the first there was
        self._kept_bytes = 0
        self._is_faulty = False  # it told an error within the stream
        self._is_over = False
        self._ending: Whole | GatewayError | None = None  # None is the end of a stream
        self._cursors: set[Cursor] = set()
        self._room = asyncio.Event()
        self._usage: Usage | None = None

    @property
    def is_begun(self) -> bool:
        """Whether any of the answer is here: from then on no other replica may serve it."""
        return self._is_over or bool(self._pieces) or self._dropped > 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._is_over

    @property
    def is_success(self) -> bool:
        """Whether all of the answer is here, and is what was asked for."""
        ending = self._ending
        is_well = ending is None or (isinstance(ending, Whole) and ending.is_ok)
        return self._is_over and is_well and not self._is_faulty

    @property
    def answer(self) -> Answer | None:
        """The answer to keep, where it is a success and still all here."""
        if not self.is_success or self._dropped:
            return None
        if isinstance(self._ending, Whole):
            return Answer(self._ending)
        events = tuple(event for piece in self._pieces for event in piece.events)
        return Answer(headers=self.headers, events=events)

    @property
    def usage(self) -> Usage | None:
        """The tokens that it took, as far as they are known."""
        return self._usage

    @property
    def ending(self) -> Whole | GatewayError | None:
        """What it is once it is over: one piece, an error, or None for the end of a stream."""
        return self._ending

    def join(self) -> Cursor:
        """Add a reader, who starts from the beginning."""
        cursor = Cursor()
        self._cursors.add(cursor)
        return cursor

    def leave(self, cursor: Cursor) -> None:
        """Forget a reader."""
        self._cursors.discard(cursor)

    async def whole(self, answer: Whole) -> None:
        """Take an answer in one piece."""
        self._usage = answer.usage
        self.close(answer)

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Take the head of a stream; until its first events come, another may replace it."""
        if not self.is_begun:
            self.headers = dict(headers)

    async def write(self, events: Sequence[Event], at: float) -> None:
        """Take events, and wait while even the fastest reader is slow."""
        if self._is_over:
            return
        piece = Piece(events, at, size_of(events))
        self._pieces.append(piece)
        self._kept_bytes += piece.size
        self._take_in(events)
        if not self._is_over and (self._is_faulty or self._kept_bytes > self._limit):
            self._closing()
        self._wake()
        while self._kept_bytes > self._limit and not self._trim():
            self._room.clear()
            await self._room.wait()

    async def fail(self, error: GatewayError) -> None:
        """Take an error in place of the rest of the answer, or of all of it."""
        self.close(error)

    async def end(self) -> None:
        """Take note that the stream is whole."""
        self.close(None)

    def close(self, ending: Whole | GatewayError | None) -> None:
        """End it, once: what is written later is not part of it."""
        if not self._is_over:
            self._is_over, self._ending = True, ending
            self._closing()
            self._wake()

    def ahead(self, cursor: Cursor) -> Sequence[Piece]:
        """Return what a reader has not had; raise LaggedError where some of it is gone."""
        if cursor.position < self._dropped:
            raise LaggedError(
                f"The answer was read more than {self._limit} bytes behind others who share it; "
                "read faster, or send the request again with Cache-Control: no-cache."
            )
        return self._pieces[cursor.position - self._dropped :]

    def advance(self, cursor: Cursor, pieces: int) -> None:
        """Take note that a reader has had so many pieces more."""
        cursor.position += pieces
        self._room.set()

    def _take_in(self, events: Sequence[Event]) -> None:
        """Note what events tell; the last one is the end, however long the connection lasts."""
        for event in events:
            if event.usage is not None:
                self._usage = event.usage
            if event.is_error:
                self._is_faulty = True
            if event.is_done:
                self.close(None)

    def _trim(self) -> bool:
        """Drop what is too much and has been read; tell whether that is enough, or all is over."""
        fastest = max((cursor.position for cursor in self._cursors), default=0)
        while self._kept_bytes > self._limit and self._dropped < fastest:
            self._kept_bytes -= self._pieces.pop(0).size
            self._dropped += 1
        return self._is_over or self._kept_bytes <= self._limit

    def _wake(self) -> None:
        self._room.set()
        for cursor in self._cursors:
            cursor.news.set()
