import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest
from structlog.testing import capture_logs

from exporter.collect import Collector
from exporter.reading import Identity, Reading
from exporter.sources.source import SourceError
from telemetry.clock import ManualClock

READING = Reading(Identity(0, "GPU-1", "Fake", "", "nvidia0"), power_watts=300.0)
LOST = Reading.down(READING.identity)


class ScriptedSource:
    name = "scripted"

    def __init__(self, read: Callable[[], Sequence[Reading]]) -> None:
        self.read = read


class HangingSource:
    name = "hanging"

    def __init__(self) -> None:
        self.released = threading.Event()
        self.released.set()
        self.reads = 0

    def read(self) -> Sequence[Reading]:
        self.reads += 1
        assert self.released.wait(30)
        return [READING]


def broken() -> Sequence[Reading]:
    raise SourceError("the driver is gone")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(50.0)


async def test_before_the_first_collection_nothing_is_known(clock: ManualClock) -> None:
    collector = Collector(ScriptedSource(lambda: [READING]), clock)

    assert collector.snapshot.readings == ()
    assert collector.age_seconds is None


async def test_a_collection_is_kept_and_ages(clock: ManualClock) -> None:
    collector = Collector(ScriptedSource(lambda: [READING]), clock)
    await collector.collect()
    clock.advance(7)

    assert collector.snapshot.readings == (READING,)
    assert collector.age_seconds == 7


async def test_a_failed_collection_blanks_the_devices_and_is_counted(clock: ManualClock) -> None:
    source = ScriptedSource(lambda: [READING])
    collector = Collector(source, clock)
    await collector.collect()
    source.read = broken
    clock.advance(3)
    with capture_logs() as logs:
        await collector.collect()

    assert collector.snapshot.readings == (LOST,)
    assert collector.snapshot.errors == 1
    assert collector.age_seconds == 3
    assert logs[0]["why"] == "the driver is gone"


async def test_a_source_that_returns_is_believed_again(clock: ManualClock) -> None:
    source = ScriptedSource(broken)
    collector = Collector(source, clock)
    await collector.collect()
    source.read = lambda: [READING]
    await collector.collect()

    assert collector.snapshot.readings == (READING,)
    assert collector.snapshot.errors == 1


async def test_a_hung_source_is_blank_and_is_not_asked_again(clock: ManualClock) -> None:
    source = HangingSource()
    collector = Collector(source, clock, deadline_seconds=0.02)
    await collector.collect()
    source.released.clear()
    await collector.collect()
    await collector.collect()

    assert collector.snapshot.readings == (LOST,)
    assert collector.snapshot.errors == 2
    assert source.reads == 2
    source.released.set()


async def test_a_hung_source_that_answers_at_last_is_heard(clock: ManualClock) -> None:
    source = HangingSource()
    source.released.clear()
    collector = Collector(source, clock, deadline_seconds=0.02)
    await collector.collect()
    source.released.set()
    async with asyncio.timeout(5):
        while not collector.snapshot.readings:
            await collector.collect()

    assert source.reads == 1


async def test_the_loop_goes_on_after_a_failure(clock: ManualClock) -> None:
    outcomes = iter([broken])
    source = ScriptedSource(lambda: next(outcomes, lambda: [READING])())  # noqa: PLW0108 - fresh each time
    collector = Collector(source, clock, cadence_seconds=0.0)
    loop = asyncio.create_task(collector.run())
    async with asyncio.timeout(5):
        while collector.age_seconds is None:  # noqa: ASYNC110 - polls with a deadline
            await asyncio.sleep(0)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop

    assert collector.snapshot.errors == 1


async def test_cancelling_while_a_source_hangs_is_clean(clock: ManualClock) -> None:
    source = HangingSource()
    source.released.clear()
    collector = Collector(source, clock)
    waiting = asyncio.create_task(collector.collect())
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    source.released.set()

    assert collector.snapshot.readings == ()
