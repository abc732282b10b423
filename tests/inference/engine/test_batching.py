import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from inference.engine.admission import Dynamic
from inference.engine.batching import BatchReport, DynamicBatcher
from inference.engine.errors import EngineBusyError, EngineStoppedError
from telemetry.clock import ManualClock


class Timers:
    """Sleeps that end when the clock is moved past them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.clock.monotonic() + seconds, ended))
        await ended

    async def advance(self, seconds: float) -> None:
        await settle()
        self.clock.advance(seconds)
        for due, ended in self._sleeping:
            if due <= self.clock.monotonic() and not ended.done():
                ended.set_result(None)
        await settle()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


class Doubling:
    """Doubles numbers and remembers the batches; it fails on those that are to fail."""

    def __init__(self, *failing: int) -> None:
        self.batches: list[list[int]] = []
        self._failing = failing
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, items: list[int]) -> Sequence[int]:
        self.batches.append(items)
        assert self.gate.wait(10)
        for item in items:
            if item in self._failing:
                raise ValueError(f"{item} fails")
        return [2 * item for item in items]


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
async def batcher_of(timers: Timers):
    """Makes a batcher and stops it at the end."""
    made = []

    def make(
        run: Callable[[list[int]], Sequence[int]], size: int, delay: float = 0.0, **options: object
    ) -> DynamicBatcher[int, int]:
        policy = Dynamic(size, delay)
        made.append(DynamicBatcher(run, policy, clock=timers.clock, sleep=timers.sleep, **options))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        await one.stop()


def submit_all(batcher: DynamicBatcher[int, int], items: Sequence[int]) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(batcher.submit(item)) for item in items]


async def test_each_item_gets_its_own_result(batcher_of):
    run = Doubling()
    batcher = batcher_of(run, 4)

    results = await asyncio.gather(*submit_all(batcher, range(10)))

    assert results == [2 * item for item in range(10)]
    assert max(map(len, run.batches)) <= 4
    assert [item for batch in run.batches for item in batch] == [*range(10)]


async def test_a_full_batch_goes_at_once(batcher_of, timers: Timers):
    run = Doubling()
    batcher = batcher_of(run, 2, delay=10)

    assert await asyncio.gather(*submit_all(batcher, [1, 2])) == [2, 4]
    assert run.batches == [[1, 2]]
    assert timers.clock.monotonic() == 0


async def test_an_item_waits_for_company_no_longer_than_allowed(batcher_of, timers: Timers):
    run = Doubling()
    batcher = batcher_of(run, 3, delay=1.0)
    (first,) = submit_all(batcher, [1])
    await timers.advance(0.6)
    (second,) = submit_all(batcher, [2])
    await timers.advance(0.3)
    assert run.batches == []  # 0.9 seconds

    await timers.advance(0.2)

    assert await asyncio.gather(first, second) == [2, 4]
    assert run.batches == [[1, 2]]


async def test_while_a_batch_runs_the_next_one_gathers(batcher_of):
    run = Doubling()
    run.gate.clear()
    batcher = batcher_of(run, 8)
    tasks = submit_all(batcher, [1])
    await settle()
    tasks += submit_all(batcher, [2, 3, 4])
    await settle()
    run.gate.set()

    await asyncio.gather(*tasks)

    assert run.batches == [[1], [2, 3, 4]]


async def test_several_workers_run_several_batches_at_once(batcher_of):
    together = threading.Barrier(2)

    def run(items: list[int]) -> list[int]:
        together.wait(10)  # breaks unless two are here
        return items

    batcher = batcher_of(run, 1, workers=2)

    assert await asyncio.gather(*submit_all(batcher, [1, 2])) == [1, 2]


async def test_only_the_item_at_fault_fails(batcher_of):
    run = Doubling(2)
    batcher = batcher_of(run, 3, delay=10)

    results = await asyncio.gather(*submit_all(batcher, [1, 2, 3]), return_exceptions=True)

    assert (results[0], results[2]) == (2, 6)
    assert str(results[1]) == "2 fails"
    assert run.batches == [[1, 2, 3], [1], [2], [3]]
    assert await asyncio.gather(*submit_all(batcher, [4, 5, 6])) == [8, 10, 12]


async def test_a_run_that_loses_results_fails(batcher_of):
    batcher = batcher_of(lambda items: items[1:], 1)

    with pytest.raises(RuntimeError, match="1 items went in, 0 results came out"):
        await batcher.submit(1)


async def test_who_goes_away_leaves_the_line(batcher_of, timers: Timers):
    run = Doubling()
    batcher = batcher_of(run, 3, delay=1.0)
    gone, stays = submit_all(batcher, [1, 2])
    await settle()

    gone.cancel()
    await settle()

    assert batcher.waiting == 1
    await timers.advance(1.0)
    assert await stays == 4
    assert run.batches == [[2]]


async def test_who_goes_away_from_a_running_batch_hurts_nobody(batcher_of):
    run = Doubling()
    run.gate.clear()
    batcher = batcher_of(run, 2, delay=10)
    gone, stays = submit_all(batcher, [1, 2])
    await settle()
    gone.cancel()
    await settle()
    run.gate.set()

    assert await stays == 4
    assert gone.cancelled()


async def test_the_line_is_bounded(batcher_of, timers: Timers):
    batcher = batcher_of(Doubling(), 4, delay=1.0, max_waiting=2)
    tasks = submit_all(batcher, [1, 2])
    await settle()

    with pytest.raises(EngineBusyError, match="2 requests are waiting already"):
        await batcher.submit(3)

    await timers.advance(1.0)
    assert await asyncio.gather(*tasks) == [2, 4]


async def test_a_batch_is_measured_in_rows(batcher_of, timers: Timers):
    run = Doubling()
    batcher = batcher_of(run, 10, delay=1.0, rows_of=lambda item: item)
    tasks = submit_all(batcher, [5, 4, 3, 12, 1])
    await settle()
    await asyncio.wait(tasks[:4])  # only the last one waits for time, and would miss what is gone
    await timers.advance(1.0)

    assert await asyncio.gather(*tasks) == [10, 8, 6, 24, 2]
    assert run.batches == [[5, 4], [3], [12], [1]]


async def test_only_the_same_kind_shares_a_batch(batcher_of, timers: Timers):
    run = Doubling()
    batcher = batcher_of(run, 2, delay=1.0, kind_of=lambda item: item % 2)
    tasks = submit_all(batcher, [1, 2, 4, 6])
    await settle()
    await asyncio.wait(tasks[1:3])
    assert run.batches == [[2, 4]]  # which did not wait for the odd one before them

    await timers.advance(1.0)

    assert await asyncio.gather(*tasks) == [2, 4, 8, 12]
    assert sorted(run.batches) == [[1], [2, 4], [6]]


async def test_every_batch_is_told_of(batcher_of, timers: Timers):
    reports: list[BatchReport] = []
    batcher = batcher_of(Doubling(3), 2, delay=1.0, observe=reports.append)
    tasks = submit_all(batcher, [1])
    await timers.advance(0.25)
    tasks += submit_all(batcher, [3])
    await asyncio.gather(*tasks, return_exceptions=True)
    await settle()

    assert reports == [BatchReport(rows=2, queue_seconds=(0.25, 0.0), run_seconds=0, failed=1)]


async def test_an_observer_that_fails_stops_nothing(batcher_of):
    def observe(_report: BatchReport) -> None:
        raise RuntimeError("no meter")

    batcher = batcher_of(Doubling(), 1, observe=observe)

    assert [await batcher.submit(1), await batcher.submit(2)] == [2, 4]


async def test_stopping_refuses_what_waits_and_finishes_what_runs(batcher_of):
    run = Doubling()
    run.gate.clear()
    batcher = batcher_of(run, 1)
    running, waiting = submit_all(batcher, [1, 2])
    await settle()
    stopping = asyncio.create_task(batcher.stop())
    await settle()
    run.gate.set()
    await stopping

    assert await running == 2
    with pytest.raises(EngineStoppedError):
        await waiting
    with pytest.raises(EngineStoppedError):
        await batcher.submit(3)
    assert run.batches == [[1]]
    await batcher.stop()


async def test_nothing_is_taken_before_the_start(timers: Timers):
    batcher = DynamicBatcher(Doubling(), Dynamic(1, 0.0), clock=timers.clock)

    with pytest.raises(EngineStoppedError, match="not loaded"):
        await batcher.submit(1)
    await batcher.stop()


async def test_a_batch_that_hangs_grows_old(timers: Timers, batcher_of):
    double = Doubling()
    batcher = batcher_of(double, 1)
    timers.clock.advance(100.0)
    assert batcher.progress_age == 0.0  # idle

    double.gate.clear()
    asked = [asyncio.create_task(batcher.submit(number)) for number in (1, 2)]
    await timers.advance(30.0)
    assert batcher.progress_age == 30.0

    double.gate.set()
    assert await asyncio.gather(*asked) == [2, 4]
    await settle()
    assert batcher.progress_age == 0.0
