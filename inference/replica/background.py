"""Work beside the event loop, and work that its caller may abandon."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

_T = TypeVar("_T")


async def in_daemon_thread(work: Callable[[], _T]) -> _T:
    """Run blocking work; unlike asyncio.to_thread, it never holds up the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(result: _T | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None only where _T is

    def run() -> None:
        outcome: tuple[_T | None, Exception | None]
        try:
            outcome = work(), None
        except Exception as error:  # noqa: BLE001 - handed to the one who waits
            outcome = None, error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, *outcome)

    # In the caller's context, so that spans find the one that they belong to.
    target = partial(copy_context().run, run)
    threading.Thread(target=target, name="background", daemon=True).start()
    return await done


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, _T]) -> _T | None:
    """Await work, or give it up and return None once the event is set."""
    wanted, alarm = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({wanted, alarm}, return_when=asyncio.FIRST_COMPLETED)
        return wanted.result() if wanted.done() else None
    finally:
        wanted.cancel()
        alarm.cancel()
        await asyncio.gather(wanted, alarm, return_exceptions=True)


class Tasks:
    """Work that goes on to its end even where the one who asked for it leaves."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def finish(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Await work; being cancelled gives up the waiting, not the work."""
        return await asyncio.shield(self.begin(work))

    def begin(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Start work that nobody need wait for."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def cancel(self) -> None:
        """Give up all that is still under way."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
