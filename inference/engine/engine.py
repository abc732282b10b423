"""The engine as asyncio sees it: requests in, tokens out, one thread at work behind it."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from inference.engine.admission import Admission, Continuous
from inference.engine.core import Core, Iteration, Outcome, WakeSeconds
from inference.engine.errors import (
    EngineAsleepError,
    EngineBusyError,
    EngineStoppedError,
    PromptTooLongError,
)
from inference.engine.kv_cache import BlockPool, KvAccount
from inference.engine.scheduler import Limits, Scheduler
from inference.engine.sequence import Request, Sequence, TokenEvent, sequences_of
from inference.engine.stream import Stream
from inference.engine.worker import Worker
from inference.runtimes.runtime import Runtime, SleepLevel
from telemetry.clock import Clock

_SECRET_BYTES = 16
_CONTINUOUS = Continuous()

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Where an engine stands; `running` and `waiting` count choices, which take a slot each."""

    running: int
    waiting: int
    slots: int
    kv_usage: float
    failure: str | None  # why the engine is over, if it failed
    kv: KvAccount
    is_asleep: bool = False
    steps: int = 0  # iterations so far
    progress_age: float = 0.0  # seconds since the last one, while there is work


@dataclass(frozen=True, slots=True)
class IterationReport:
    """What one iteration did; `seconds` includes pacing."""

    seconds: float
    sequences: int
    prefill_tokens: int  # computed; those found in the cache are not
    generated_tokens: int
    plan_seconds: float = 0.0
    run_seconds: float = 0.0  # in the runtime
    sample_seconds: float = 0.0
    preemptions: int = 0
    cached_tokens: int = 0  # of the sequences that joined

    @property
    def overhead_seconds(self) -> float:
        """What the engine itself took, beside the runtime."""
        return self.plan_seconds + self.sample_seconds


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
        admission: Admission = _CONTINUOUS,
        reload: Callable[[], None] | None = None,
        secret: bytes | None = None,
    ) -> None:
        pool = BlockPool(blocks, block_size=runtime.block_size)
        secret = secrets.token_bytes(_SECRET_BYTES) if secret is None else secret
        scheduler = Scheduler(limits, pool, admission=admission, secret=secret)
        self.context = min(context, pool.capacity)
        self.block_size = pool.block_size
        self._core = Core(runtime, scheduler, blocks=blocks, clock=clock, reload=reload)
        self._worker = Worker(
            self._core, clock, min_iteration_seconds, emit=self._emit, fail=self._fail
        )
        self._can_reload = reload is not None
        self._slots = limits.slots
        self._max_waiting = max_waiting
        self._clock = clock
        self._observe = observe
        self._streams: dict[str, Stream] = {}
        self._turning = asyncio.Lock()  # to sleep, or back
        self._failure: str | None = None
        self._is_over = False
        self._is_asleep = False

    def start(self) -> None:
        """Start the thread; requests may be submitted from here on."""
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._worker.start()

    def submit(self, request: Request) -> AsyncGenerator[TokenEvent, None]:
        """Queue a request; return the tokens of all its choices as they are drawn.

        Closing the iterator, once it has begun, cancels the request. Raises EngineError where
        the request cannot be taken, here or, if it fails or the engine stops, between tokens.
        """
        self._check(request)
        sequences = sequences_of(request, self._clock.monotonic())
        stream = Stream(sequences)
        self._streams[request.id] = stream
        for sequence in sequences:
            self._worker.send(partial(self._core.scheduler.add, sequence))
        return self._events(request.id, stream)

    def cancel(self, request_id: str, choice: int | None = None) -> None:
        """Drop a request, or one choice of it; twice is fine.

        Its KV blocks are free before the next iteration. Once all of its tokens are drawn there
        is nothing to drop: they come.
        """
        stream = self._streams.get(request_id)
        if stream is None:
            return
        choices = [one.choice for one in stream.sequences] if choice is None else [choice]
        for one in choices:
            if (sequence := stream.drop(one)) is not None:
                self._worker.send(partial(self._core.scheduler.remove, sequence))
        if stream.is_over:
            del self._streams[request_id]

    def stats(self) -> EngineStats:
        """Return where the engine stands now; a choice runs until its last token is out."""
        places = [
            sequence.is_waiting
            for stream in self._streams.values()
            for sequence in stream.sequences
        ]
        waiting, account = sum(places), self._worker.account
        return EngineStats(
            running=len(places) - waiting,
            waiting=waiting,
            slots=self._slots,
            kv_usage=account.usage,
            failure=self._failure,
            kv=account,
            is_asleep=self._is_asleep,
            steps=self._worker.progress.steps,
            progress_age=0.0 if self._is_over else self._worker.progress_age,
        )

    @property
    def waiting_tokens(self) -> int:
        """Tokens that must be computed before all requests in flight are decoding, at most.

        The choices of a request count once, for they share its prompt; what the prefix cache
        holds is only known once a sequence joins, and counts until then.
        """
        return sum(stream.remaining for stream in self._streams.values())

    async def sleep(self, level: SleepLevel) -> float:
        """Give up memory until woken; return the seconds it took.

        Raises EngineBusyError while requests are in flight. Where it fails, the engine takes no
        requests until it could be woken.
        """
        if level is SleepLevel.NOTHING and not self._can_reload:
            raise ValueError("sleep level 2 drops the weights, and the engine cannot reload them")
        async with self._turning:
            self._check_runs()
            if self._streams:
                raise EngineBusyError(
                    f"the engine cannot sleep while {len(self._streams)} requests are in flight"
                )
            self._is_asleep = True
            return await self._order(partial(self._core.sleep, level))

    async def wake(self) -> WakeSeconds:
        """Take requests again, with an empty prefix cache; return the seconds by phase."""
        async with self._turning:
            self._check_runs()
            seconds = await self._order(self._core.wake)
            self._is_asleep = False
            return seconds

    async def ended(self) -> str | None:
        """Wait until the engine is over; return why it failed, if it did."""
        await self._ended.wait()
        return self._failure

    async def stop(self) -> None:
        """Stop after the iteration under way; requests in flight end in EngineStoppedError."""
        await asyncio.to_thread(self._worker.stop)
        self._end(None)

    def _check_runs(self) -> None:
        if self._is_over:
            raise EngineStoppedError(self._failure or "the engine was stopped")

    def _check(self, request: Request) -> None:
        self._check_runs()
        if self._is_asleep:
            raise EngineAsleepError("the engine is asleep; wake it first")
        if request.id in self._streams:
            raise ValueError(f"request {request.id} is in flight already")
        if len(request.prompt) + request.max_tokens > self.context:
            raise PromptTooLongError(
                prompt=len(request.prompt), answer=request.max_tokens, context=self.context
            )
        in_flight = sum(len(stream.sequences) for stream in self._streams.values())
        if in_flight >= self._slots + self._max_waiting:
            raise EngineBusyError(
                f"{self._slots} requests are running and {self._max_waiting} are waiting"
            )

    async def _events(self, request_id: str, stream: Stream) -> AsyncGenerator[TokenEvent, None]:
        try:
            while (event := await stream.next()) is not None:
                yield event
        finally:
            if self._streams.get(request_id) is stream:
                self.cancel(request_id)

    async def _order(self, work: Callable[[], _T]) -> _T:
        """Have the engine's thread do something between two iterations."""
        order: Future[_T] = Future()

        def obey() -> None:
            if order.set_running_or_notify_cancel():
                try:
                    order.set_result(work())
                except Exception as error:  # noqa: BLE001 - handed to the one who waits
                    order.set_exception(error)

        self._worker.send(obey)
        done, ended = asyncio.wrap_future(order), asyncio.ensure_future(self._ended.wait())
        either: list[asyncio.Future[Any]] = [done, ended]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            self._check_runs()
            return await done
        finally:
            done.cancel()
            ended.cancel()

    def _deliver(self, iteration: Iteration, now: float) -> None:
        for outcome in iteration.outcomes:
            stream = self._stream_of(outcome.sequence)
            if stream is not None:
                stream.put(_event(outcome, now, iteration.device_clock))
                if stream.is_over:
                    del self._streams[outcome.sequence.request.id]
        for sequence, error in iteration.failures:
            stream = self._stream_of(sequence)
            if stream is not None:
                stream.fail(error)
                del self._streams[sequence.request.id]

    def _stream_of(self, sequence: Sequence) -> Stream | None:
        """Return who waits for a sequence; not who took its name once it was cancelled."""
        stream = self._streams.get(sequence.request.id)
        return stream if stream is not None and sequence in stream.choices else None

    def _end(self, failure: str | None) -> None:
        """Tell everyone in flight that no token will follow."""
        if self._is_over:
            return
        self._is_over, self._failure = True, failure
        for stream in self._streams.values():
            stream.fail(EngineStoppedError(failure or "the engine was stopped"))
        self._streams.clear()
        self._ended.set()

    # From here on: called by the engine's thread.

    def _emit(self, iteration: Iteration, seconds: float) -> None:
        self._observe(_report(iteration, seconds))
        now = self._clock.monotonic()
        if iteration.outcomes or iteration.failures:
            self._loop.call_soon_threadsafe(self._deliver, iteration, now)

    def _fail(self, reason: str) -> None:
        self._loop.call_soon_threadsafe(self._end, f"the engine failed: {reason}")


def _event(outcome: Outcome, now: float, device: float) -> TokenEvent:
    sequence, drawn, finish = outcome
    if sequence.first_token is None:
        sequence.first_token = now
    return TokenEvent(
        drawn.token,
        sequence.timings(now, device),
        finish,
        sequence.choice,
        drawn.logprob,
        drawn.top,
        sequence.cached or 0,
    )


def _report(iteration: Iteration, seconds: float) -> IterationReport:
    chunks = iteration.computed
    return IterationReport(
        seconds=seconds,
        sequences=len(chunks),
        prefill_tokens=sum(chunk.count for chunk in chunks if not chunk.is_decode),
        generated_tokens=len(iteration.outcomes),
        plan_seconds=iteration.plan_seconds,
        run_seconds=iteration.run_seconds,
        sample_seconds=iteration.sample_seconds,
        preemptions=iteration.preemptions,
        cached_tokens=iteration.plan.cached_tokens,
    )
