"""Keep-alives: one task looks after all clients, the quiet streams and those who take nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from inference.gateway.client import Client
from telemetry.clock import Clock

_LOOKS = 4  # per period: what is due is at most a fourth late


class KeepAlive:
    """Sends a comment on streams that were quiet for `quiet_seconds`, and hangs up on clients.

    That is on those that for `stuck_seconds` took nothing of what was written to them.
    """

    def __init__(self, *, quiet_seconds: float, stuck_seconds: float, clock: Clock) -> None:
        self._quiet_seconds = quiet_seconds
        self._stuck_seconds = stuck_seconds
        self._clock = clock
        self._clients: dict[Client, Callable[[], None]] = {}
        self._writes: set[asyncio.Task[None]] = set()

    @contextmanager
    def watching(self, client: Client, sent: Callable[[], None]) -> Iterator[None]:
        """Watch a client while entered; `sent` is called for each comment."""
        self._clients[client] = sent
        try:
            yield
        finally:
            del self._clients[client]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look after clients while entered."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            for one in (task, *self._writes):
                one.cancel()
            await asyncio.gather(task, *self._writes, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(min(self._quiet_seconds, self._stuck_seconds) / _LOOKS)
            now = self._clock.monotonic()
            for client, sent in list(self._clients.items()):
                self._look_after(client, sent, now)

    def _look_after(self, client: Client, sent: Callable[[], None], now: float) -> None:
        if client.writing_since is not None:
            if now - client.writing_since >= self._stuck_seconds:
                client.hang_up()
        elif client.streams and now - client.last_write >= self._quiet_seconds:
            # A task of its own: one client that takes nothing holds up no other.
            task = asyncio.create_task(self._write(client, sent))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    async def _write(self, client: Client, sent: Callable[[], None]) -> None:
        with suppress(ConnectionResetError):  # its own handler will hear of it
            await client.keep_alive()
            sent()
