"""Draining the gateway: readiness first, then a bounded wait for what is in flight."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from inference.gateway.meters import Meters

_LAST_WORDS_SECONDS = 1.0  # for those whose wait is over to be told so

_log = structlog.get_logger(__name__)


class Drain:
    """Counts the requests in flight, and sees them out when the gateway ends."""

    def __init__(
        self, meters: Meters, *, can_serve: Callable[[], bool], give_up: Callable[[], None]
    ) -> None:
        self._meters = meters
        self._can_serve = can_serve
        self._give_up = give_up  # tells everyone in line that it is over
        self._in_flight = 0
        self._finished = 0  # since the end began
        self._idle = asyncio.Event()
        self._idle.set()
        self.is_begun = False

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count one request."""
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            self._finished += self.is_begun
            if not self._in_flight:
                self._idle.set()

    def begin(self) -> None:
        """Be ready no longer; requests are still taken, for not everyone has heard of it."""
        self.is_begun = True

    async def finish(self, *, seconds: float) -> None:
        """Wait until nothing is in flight, for so long at most; count what became of it."""
        if self._can_serve():
            await self._wait(seconds)
        killed = self._in_flight
        self._give_up()
        await self._wait(_LAST_WORDS_SECONDS)
        finished = max(self._finished - killed, 0)
        self._meters.drained(finished=finished, killed=killed)
        _log.info("gateway drained", finished=finished, killed=killed)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
