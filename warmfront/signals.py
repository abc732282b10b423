"""Signals: asked to stop, by Ctrl-C, by a supervisor, or by a terminal that closes."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130  # the shell's exit status for Ctrl-C


@asynccontextmanager
async def stop_event() -> AsyncIterator[asyncio.Event]:
    """Turn the first signal into an event; a second one cancels the task at once."""
    stop, task = asyncio.Event(), asyncio.current_task()

    def asked() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    with _handled(asked):
        yield stop


async def interruptible(work: Coroutine[Any, Any, int]) -> int:
    """Run `work` to its status; a signal cancels it, and it may still put things away."""
    task = asyncio.create_task(work)
    with _handled(task.cancel):
        try:
            return await task
        except asyncio.CancelledError:
            return INTERRUPTED


@contextmanager
def _handled(react: Callable[[], object]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, react)
    try:
        yield
    finally:
        for number in _STOPPING:
            loop.remove_signal_handler(number)
