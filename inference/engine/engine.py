"""The engine: a thread that turns requests into tokens, and the asyncio side that feeds it.

schedule -> forward -> apply -> pace -> emit, once per iteration.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import partial

import structlog

from inference.engine.errors import EngineBusyError, EngineStoppedError, PromptTooLongError
from inference.engine.forward import forward
from inference.engine.kv_cache import BlockPool
from inference.engine.scheduler import Chunk, Limits, Scheduler
from inference.engine.sequence import FinishReason, Request, Sequence, TokenEvent
from inference.runtimes.runtime import Runtime
from telemetry.clock import Clock

STOP_PATIENCE_SECONDS = 5.0  # longest wait for an iteration that is under way

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Where an engine stands."""

    running: int
    waiting: int
    slots: int
    kv_usage: float
    failure: str | None  # why the engine is over, if it failed


@dataclass(frozen=True, slots=True)
class IterationReport:
    """What one iteration did; `seconds` includes pacing."""

    seconds: float
    sequences: int
    prefill_tokens: int
    generated_tokens: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    sequence: Sequence
    token: int
    finish: FinishReason | None


@dataclass(frozen=True, slots=True)
class _Stream:
    """A request in flight as the event loop sees it."""

    sequence: Sequence
    events: asyncio.Queue[TokenEvent | EngineStoppedError]


def ignore(_report: IterationReport) -> None:
    """Take no note of an iteration."""


class Engine:
    """One model's engine. All methods belong to the event loop that called `start`."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        blocks: int,
        limits: Limits,
        context: int,
        clock: Clock,
        max_waiting: int = 256,
        min_iteration_seconds: float = 0.0,
        observe: Callable[[IterationReport], None] = ignore,
    ) -> None:
        pool = BlockPool(blocks, block_size=runtime.block_size)
        self.context = min(context, pool.capacity)
        self._runtime = runtime
        self._scheduler = Scheduler(limits, pool)
        self._slots = limits.slots
        self._max_waiting = max_waiting
        self._min_iteration = min_iteration_seconds
        self._clock = clock
        self._observe = observe
        self._streams: dict[str, _Stream] = {}
        self._changed = threading.Condition()
        self._inbox: list[Callable[[], None]] = []  # guarded by `_changed`
        self._stopping = False  # guarded by `_changed`
        self._failure: str | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread; requests may be submitted from here on."""
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._thread.start()

    def submit(self, request: Request) -> AsyncGenerator[TokenEvent, None]:
        """Queue a request; return its tokens as they are drawn.

        Closing the iterator cancels the request. Raises EngineError where the request cannot be
        taken, here or, if the engine stops, between tokens.
        """
        self._check(request)
        stream = _Stream(Sequence(request, self._clock.monotonic()), asyncio.Queue())
        self._streams[request.id] = stream
        self._send(partial(self._scheduler.add, stream.sequence))
        return self._events(request.id, stream)

    def cancel(self, request_id: str) -> None:
        """Drop a request; its KV blocks are free before the next iteration. Twice is fine."""
        stream = self._streams.pop(request_id, None)
        if stream is not None:
            self._send(partial(self._scheduler.remove, stream.sequence))

    def stats(self) -> EngineStats:
        """Return where the engine stands now; a request runs until its last token is out."""
        waiting = sum(stream.sequence.is_waiting for stream in self._streams.values())
        running = len(self._streams) - waiting
        usage = self._scheduler.pool.usage
        return EngineStats(running, waiting, self._slots, usage, self._failure)

    async def ended(self) -> str | None:
        """Wait until the engine is over; return why it failed, if it did."""
        await self._ended.wait()
        return self._failure

    async def stop(self) -> None:
        """Stop after the iteration under way; requests in flight end in EngineStoppedError."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join, STOP_PATIENCE_SECONDS)
        self._end(None)

    def _check(self, request: Request) -> None:
        if self._is_over:
            raise EngineStoppedError(self._failure or "the engine was stopped")
        if request.id in self._streams:
            raise ValueError(f"request {request.id} is in flight already")
        if len(request.prompt) + request.max_tokens > self.context:
            raise PromptTooLongError(
                prompt=len(request.prompt), answer=request.max_tokens, context=self.context
            )
        if len(self._streams) >= self._slots + self._max_waiting:
            raise EngineBusyError(
                f"{self._slots} requests are running and {self._max_waiting} are waiting"
            )

    async def _events(self, request_id: str, stream: _Stream) -> AsyncGenerator[TokenEvent, None]:
        try:
            while True:
                event = await stream.events.get()
                if isinstance(event, EngineStoppedError):
                    raise event
                yield event
                if event.finish is not None:
                    return
        finally:
            self.cancel(request_id)

    def _send(self, command: Callable[[], None]) -> None:
        with self._changed:
            self._inbox.append(command)
            self._changed.notify()

    def _deliver(self, events: list[tuple[str, TokenEvent]]) -> None:
        for request_id, event in events:
            stream = self._streams.get(request_id)
            if stream is not None:
                stream.events.put_nowait(event)
                if event.finish is not None:
                    del self._streams[request_id]

    def _end(self, failure: str | None) -> None:
        """Tell everyone in flight that no token will follow."""
        if self._is_over:
            return
        self._is_over, self._failure = True, failure
        for stream in self._streams.values():
            stream.events.put_nowait(EngineStoppedError(failure or "the engine was stopped"))
        self._streams.clear()
        self._ended.set()

    # From here on: the engine's thread.

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._take_in(patience=0.0 if self._scheduler.has_work else None)
                if self._scheduler.has_work and not self._stopping:
                    self._iterate()
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller must hear of it
            _log.exception("engine failed")
            self._loop.call_soon_threadsafe(self._end, f"the engine failed: {error}")

    def _take_in(self, *, patience: float | None) -> None:
        """Wait for commands, at most `patience` seconds, and obey them."""
        with self._changed:
            self._changed.wait_for(lambda: self._inbox or self._stopping, patience)
            commands, self._inbox = self._inbox, []
        for command in commands:
            command()

    def _iterate(self) -> None:
        began = self._clock.monotonic()
        chunks = self._scheduler.next_iteration()
        _note_joined(chunks, began)
        tokens = forward(self._runtime, chunks)
        self._scheduler.advance(chunks)
        outcomes = self._apply(chunks, tokens)
        self._pace(began)
        self._observe(_report(chunks, outcomes, self._clock.monotonic() - began))
        self._emit(outcomes)

    def _apply(self, chunks: list[Chunk], tokens: list[int | None]) -> list[_Outcome]:
        """Append drawn tokens; free the blocks of answers that end."""
        outcomes = []
        for chunk, token in zip(chunks, tokens, strict=True):
            if token is not None:
                finish = chunk.sequence.append(token)
                outcomes.append(_Outcome(chunk.sequence, token, finish))
                if finish is not None:
                    self._scheduler.remove(chunk.sequence)
        return outcomes

    def _pace(self, began: float) -> None:
        """Hold the iteration to its shortest time, still obeying commands."""
        until = began + self._min_iteration
        while not self._stopping and (left := until - self._clock.monotonic()) > 0:
            self._take_in(patience=left)

    def _emit(self, outcomes: list[_Outcome]) -> None:
        now = self._clock.monotonic()
        events = []
        for outcome in outcomes:
            sequence = outcome.sequence
            if sequence.first_token is None:
                sequence.first_token = now
            event = TokenEvent(outcome.token, sequence.timings(now), outcome.finish)
            events.append((sequence.request.id, event))
        if events:
            self._loop.call_soon_threadsafe(self._deliver, events)


def _note_joined(chunks: list[Chunk], now: float) -> None:
    for chunk in chunks:
        if chunk.sequence.joined is None:
            chunk.sequence.joined = now


def _report(chunks: list[Chunk], outcomes: list[_Outcome], seconds: float) -> IterationReport:
    prefill = sum(chunk.count for chunk in chunks if not chunk.is_decode)
    return IterationReport(seconds, len(chunks), prefill, len(outcomes))
