"""Work beside the event loop that may be abandoned."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
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

    threading.Thread(target=run, name="background", daemon=True).start()
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
