"""Refreshing the roster: the process table and the loads are read several times a second."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import aiohttp
import structlog

from inference.gateway.routing.meters import RoutingMeters
from inference.gateway.routing.poll import LoadPoller
from inference.gateway.routing.roster import Roster
from inference.gateway.routing.settings import RoutingSettings
from telemetry.clock import Clock
from telemetry.process_table import ReplicaRecord

_log = structlog.get_logger(__name__)


class Table(Protocol):
    """Where the records of the replicas are read."""

    def records(self) -> Sequence[ReplicaRecord]:
        """Return every replica's record."""
        ...


class Refresher:
    """Keeps the roster fresh; `introduce` is told each model that was never seen before."""

    def __init__(
        self,
        table: Table,
        roster: Roster,
        meters: RoutingMeters,
        *,
        introduce: Callable[[str], None],
        clock: Clock,
        settings: RoutingSettings | None = None,
    ) -> None:
        self._table = table
        self._roster = roster
        self._meters = meters
        self._introduce = introduce
        self._clock = clock
        self._settings = settings or RoutingSettings()
        self._is_readable = True
        self._is_shown = True
        self._show_at = clock.monotonic()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the roster fresh while entered; it is fresh on entering."""
        async with _session() as session:
            poller = LoadPoller(self._roster, session, settings=self._settings, clock=self._clock)
            await self.refresh()
            await poller.poll()
            task = asyncio.create_task(self._run(poller))
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def refresh(self) -> None:
        """Read the table; where that fails, what was read last goes on holding."""
        try:
            records = await asyncio.to_thread(self._table.records)
            for model in self._roster.update(records):
                self._introduce(model)
        except Exception:  # noqa: BLE001 - the loop's edge: routing goes on with what is known
            self._note_failure()
        else:
            self._is_readable = True

    def _note_failure(self) -> None:
        self._meters.roster_unreadable()
        if self._is_readable:  # said once, not ten times a second
            _log.exception("the process table cannot be read; routing by its last reading")
        self._is_readable = False

    async def _run(self, poller: LoadPoller) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(self._settings.refresh_seconds)
                await self.refresh()
                self._look_at_loads(poller, group)

    def _look_at_loads(self, poller: LoadPoller, group: asyncio.TaskGroup) -> None:
        try:
            poller.begin(group)
            self._show()
        except Exception:  # noqa: BLE001 - the loop's edge: loads grow stale
            if self._is_shown:
                _log.exception("the loads of the replicas cannot be followed")
            self._is_shown = False

    def _show(self) -> None:
        now = self._clock.monotonic()
        if now >= self._show_at:
            self._show_at = now + self._settings.load_seconds
            self._roster.show()
            self._is_shown = True


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )
