"""Dynamic batching for models that answer in one step: items in, results out, together.

An item waits until enough others do or it has waited long enough; a worker then takes a batch
of one kind, computes it in a thread, and hands every item its own result.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from inference.engine.admission import Admission
from inference.engine.errors import EngineBusyError, EngineStoppedError
from inference.engine.progress import Progress
from telemetry.clock import Clock

STOP_PATIENCE_SECONDS = 5.0  # longest wait for batches that are under way

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What one batch did."""

    rows: int  # in all its items
    queue_seconds: tuple[float, ...]  # of each item
    run_seconds: float
    failed: int  # items that ended in an error


def ignore(_report: BatchReport) -> None:
    """Take no note of a batch."""


@dataclass(eq=False, frozen=True, slots=True)
class _Waiting(Generic[_Item, _Result]):
    """An item, and where its result is waited for."""

    item: _Item
    rows: int
    since: float
    answer: asyncio.Future[_Result]


@dataclass(frozen=True, slots=True)
class _Failure:
    error: Exception


class DynamicBatcher(Generic[_Item, _Result]):
    """Runs items together as `policy` admits them. All methods belong to one event loop.

    Args:
        run: Computes a batch in a worker thread: one result for each item, in order. Where it
            fails, each item is tried alone, so that only those at fault fail.
        policy: When how many rows may go together.
        clock: Tells how long items have waited.
        max_waiting: Items that may wait; more are refused.
        workers: Batches that may be computed at once.
        rows_of: What an item takes up of a batch's size.
        kind_of: Only items of the same kind share a batch.
        observe: Is told of every batch.
        sleep: Waits for so many seconds, as `clock` counts them.
    """

    def __init__(
        self,
        run: Callable[[list[_Item]], Sequence[_Result]],
        policy: Admission,
        *,
        clock: Clock,
        max_waiting: int = 256,
        workers: int = 1,
        rows_of: Callable[[_Item], int] = lambda _: 1,
        kind_of: Callable[[_Item], Hashable] = lambda _: None,
        observe: Callable[[BatchReport], None] = ignore,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._run = run
        self._policy = policy
        self._clock = clock
        self._max_waiting = max_waiting
        self._rows_of = rows_of
        self._kind_of = kind_of
        self._observe = observe
        self._sleep = sleep
        self._lines: dict[Hashable, deque[_Waiting[_Item, _Result]]] = {}
        self._idle: set[asyncio.Event] = set()  # of workers that wait for a change
        self._is_over = False
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="batch")
        self._workers = workers
        self._tasks: set[asyncio.Task[None]] = set()
        self._progress = Progress()
        self._computing = 0  # batches

    @property
    def progress_age(self) -> float:
        """Seconds since the last batch was done while there is work; 0 while there is none."""
        return self._progress.age(self._clock.monotonic()) if self._has_work else 0.0

    @property
    def _has_work(self) -> bool:
        return self._computing > 0 or self.waiting > 0

    @property
    def waiting(self) -> int:
        """Items that no worker has taken yet."""
        return sum(map(len, self._lines.values()))

    def start(self) -> None:
        """Start the workers; items may be submitted from here on."""
        self._tasks = {asyncio.create_task(self._work()) for _ in range(self._workers)}

    async def submit(self, item: _Item) -> _Result:
        """Return the item's result; cancelling takes it out of the line.

        Raises EngineBusyError or EngineStoppedError where it cannot be taken, and otherwise
        what `run` raises for it.
        """
        self._check()
        line = self._lines.setdefault(self._kind_of(item), deque())
        if not self._has_work:
            self._progress.begin(self._clock.monotonic())
        answer: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(item, self._rows_of(item), self._clock.monotonic(), answer)
        line.append(waiting)
        self._wake()
        try:
            return await answer
        finally:
            if waiting in line:
                line.remove(waiting)

    async def stop(self) -> None:
        """Refuse what waits, let batches under way finish, then end. Twice is fine."""
        self._is_over = True
        self._wake()
        for line in self._lines.values():
            for waiting in line:
                _settle(waiting, _Failure(EngineStoppedError("the model was unloaded")))
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_PATIENCE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._threads.shutdown(wait=False)

    def _check(self) -> None:
        if self._is_over or not self._tasks:
            raise EngineStoppedError("the model is not loaded")
        if self.waiting >= self._max_waiting:
            raise EngineBusyError(f"{self.waiting} requests are waiting already")

    async def _work(self) -> None:
        while batch := await self._next():
            try:
                await self._answer(batch)
            except Exception:  # noqa: BLE001 - an observer's fault must not end the worker
                _log.exception("a batch could not be reported")

    async def _next(self) -> list[_Waiting[_Item, _Result]]:
        """Return the next batch; an empty one at the end."""
        while not self._is_over:
            now = self._clock.monotonic()
            if batch := self._take(now):
                return batch
            pauses = [self._policy.look_again(*state) for state in self._states(now)]
            await self._wait(min((one for one in pauses if one is not None), default=None))
        return []

    def _take(self, now: float) -> list[_Waiting[_Item, _Result]]:
        """Take the batch that may go now, from the line whose head waits longest."""
        lines = sorted(
            (line for line in self._lines.values() if line), key=lambda one: one[0].since
        )
        for line in lines:
            room = self._policy.admits(_rows(line), 0, now - line[0].since)
            batch: list[_Waiting[_Item, _Result]] = []
            # An item that is larger than any batch goes alone.
            while line and room > 0 and (line[0].rows <= room or not batch):
                batch.append(line.popleft())
                room -= batch[-1].rows
            if batch:
                return batch
        return []

    def _states(self, now: float) -> list[tuple[int, int, float]]:
        """Drop lines that are over; return what the policy is asked about the others."""
        self._lines = {kind: line for kind, line in self._lines.items() if line}
        return [(_rows(line), 0, now - line[0].since) for line in self._lines.values()]

    async def _wait(self, seconds: float | None) -> None:
        """Wait until something changes, for so many seconds at most."""
        changed = asyncio.Event()
        self._idle.add(changed)
        change = asyncio.create_task(changed.wait())
        pause = None if seconds is None else asyncio.ensure_future(self._sleep(seconds))
        tasks = {change} if pause is None else {change, pause}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._idle.discard(changed)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _wake(self) -> None:
        for changed in self._idle:
            changed.set()

    async def _answer(self, batch: list[_Waiting[_Item, _Result]]) -> None:
        began = self._clock.monotonic()
        self._computing += 1
        try:
            outcomes = await self._outcomes(batch)
        finally:
            self._computing -= 1
            self._progress.step(self._clock.monotonic())
        for one, outcome in zip(batch, outcomes, strict=True):
            _settle(one, outcome)
        self._observe(
            BatchReport(
                rows=_rows(batch),
                queue_seconds=tuple(began - one.since for one in batch),
                run_seconds=self._clock.monotonic() - began,
                failed=sum(isinstance(one, _Failure) for one in outcomes),
            )
        )

    async def _outcomes(self, batch: list[_Waiting[_Item, _Result]]) -> list[_Result | _Failure]:
        items = [one.item for one in batch]
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._computed, items
            )
        except asyncio.CancelledError:
            for one in batch:
                _settle(one, _Failure(EngineStoppedError("the model was unloaded meanwhile")))
            raise

    def _computed(self, items: list[_Item]) -> list[_Result | _Failure]:
        """Compute a batch; where that fails, each of its items alone."""
        try:
            return [*self._results(items)]
        except Exception as error:  # noqa: BLE001 - handed to the one who waits
            if len(items) == 1:
                return [_Failure(error)]
            return [outcome for item in items for outcome in self._computed([item])]

    def _results(self, items: list[_Item]) -> Sequence[_Result]:
        results = self._run(items)
        if len(results) != len(items):
            raise RuntimeError(f"{len(items)} items went in, {len(results)} results came out")
        return results


def _rows(line: Sequence[_Waiting[_Item, _Result]] | deque[_Waiting[_Item, _Result]]) -> int:
    return sum(one.rows for one in line)


def _settle(waiting: _Waiting[_Item, _Result], outcome: _Result | _Failure) -> None:
    """Hand over an outcome, unless nobody waits for it any more."""
    if waiting.answer.done():
        return
    if isinstance(outcome, _Failure):
        waiting.answer.set_exception(outcome.error)
    else:
        waiting.answer.set_result(outcome)
