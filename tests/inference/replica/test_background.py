import asyncio
import threading
from contextvars import ContextVar

import pytest

from inference.replica.background import Tasks, in_daemon_thread, unless


async def test_work_returns_what_it_made():
    assert await in_daemon_thread(lambda: threading.current_thread().daemon)


async def test_work_raises_what_it_raised():
    def fail() -> None:
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        await in_daemon_thread(fail)


async def test_work_can_be_abandoned():
    release = threading.Event()
    work = asyncio.create_task(in_daemon_thread(release.wait))
    await asyncio.sleep(0)
    work.cancel()

    with pytest.raises(asyncio.CancelledError):
        await work
    release.set()


async def test_work_is_awaited_unless_the_event_is_set():
    async def work() -> int:
        return 5

    assert await unless(asyncio.Event(), work()) == 5


async def test_the_event_ends_the_wait():
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)

    assert await unless(event, asyncio.sleep(60, "late")) is None


async def test_a_failure_of_the_work_is_not_swallowed():
    async def fail() -> None:
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        await unless(asyncio.Event(), fail())


async def test_work_runs_in_the_context_of_its_caller():
    place: ContextVar[str] = ContextVar("place", default="nowhere")
    place.set("here")

    assert await in_daemon_thread(place.get) == "here"


async def test_work_to_be_finished_goes_on_when_its_caller_leaves():
    tasks, begin, done = Tasks(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await begin.wait()
        done.set()

    waiting = asyncio.create_task(tasks.finish(work()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    begin.set()

    async with asyncio.timeout(1):
        await done.wait()


async def test_what_is_under_way_can_be_given_up():
    tasks = Tasks()
    endless = tasks.begin(asyncio.Event().wait())
    await tasks.cancel()
    await tasks.cancel()

    assert endless.cancelled()
