"""Refreshing the roster: the process table is read several times a second, off the event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from inference.gateway.meters import Meters
from inference.gateway.roster import Roster, Table

_log = structlog.get_logger(__name__)


class Refresher:
    """Keeps the roster fresh, and gives new models their metrics."""

    def __init__(self, table: Table, roster: Roster, meters: Meters, *, seconds: float) -> None:
        self._table = table
        self._roster = roster
        self._meters = meters
        self._seconds = seconds
        self._is_readable = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the roster fresh while entered; it is fresh on entering."""
        await self.refresh()
        task = asyncio.create_task(self._run())
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
        except Exception:  # noqa: BLE001 - the loop's edge: routing goes on with what is known
            self._note_failure()
            return
        self._is_readable = True
        for model in self._roster.update(records):
            self._meters.introduce(model)

    def _note_failure(self) -> None:
        self._meters.roster_unreadable()
        if self._is_readable:  # said once, not ten times a second
            _log.exception("the process table cannot be read; routing by its last reading")
        self._is_readable = False

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self.refresh()
