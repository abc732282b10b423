"""Asking each serving replica for its load: side by side, each with a deadline, none twice."""

import asyncio
from http import HTTPStatus

import aiohttp
import structlog

from inference.gateway.routing.load import LoadPage, parse_load
from inference.gateway.routing.roster import Roster
from inference.gateway.routing.settings import RoutingSettings
from telemetry.clock import Clock
from telemetry.process_table import ReplicaRecord

_PATH = "/load"
_LARGEST_BYTES = 2**16
_NO_PAGE_SECONDS = 5.0  # until a replica without a page is asked again
_log = structlog.get_logger(__name__)


class LoadPoller:
    """Keeps the loads in the roster fresh; those that do not answer grow stale there."""

    def __init__(
        self,
        roster: Roster,
        session: aiohttp.ClientSession,
        *,
        settings: RoutingSettings,
        clock: Clock,
    ) -> None:
        self._roster = roster
        self._session = session
        self._settings = settings
        self._clock = clock
        self._due: dict[ReplicaRecord, float] = {}  # when each is to be asked next
        self._asking: set[ReplicaRecord] = set()
        self._silent: set[str] = set()

    def due(self) -> list[ReplicaRecord]:
        """Return the replicas whose time has come."""
        now = self._clock.monotonic()
        records = self._roster.serving_records()
        self._due = {record: self._due.get(record, now) for record in records}
        self._silent &= {record.id for record in records}
        return [
            record for record in records if self._due[record] <= now and record not in self._asking
        ]

    def begin(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Begin to ask every replica whose time has come."""
        return [group.create_task(self._ask(record)) for record in self.due()]

    async def poll(self) -> None:
        """Ask every replica whose time has come, and wait for their answers."""
        async with asyncio.TaskGroup() as group:
            self.begin(group)

    async def _ask(self, record: ReplicaRecord) -> None:
        asked_at = self._clock.monotonic()
        self._due[record] = asked_at + self._settings.load_seconds
        self._asking.add(record)
        self._roster.load_asked(record)
        try:
            page = await self._fetch(record)
        except Exception as error:  # noqa: BLE001 - the loop's edge: its load grows stale
            self._note_silence(record, error)
        else:
            self._silent.discard(record.id)
            if page is None:
                self._due[record] = asked_at + _NO_PAGE_SECONDS
            self._roster.load_told(record, page, asked_at=asked_at)
        finally:
            self._asking.discard(record)

    async def _fetch(self, record: ReplicaRecord) -> LoadPage | None:
        """Return a replica's load; None where it has no page that can be read."""
        async with (
            asyncio.timeout(self._settings.load_timeout_seconds),
            self._session.get(record.url + _PATH, allow_redirects=False) as response,
        ):
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            response.raise_for_status()
            if (response.content_length or 0) > _LARGEST_BYTES:
                return None
            try:
                return parse_load(await response.read())
            except ValueError:
                return None  # another server's page of the same name

    def _note_silence(self, record: ReplicaRecord, error: Exception) -> None:
        if record.id not in self._silent:  # said once, not several times a second
            _log.warning("a replica does not tell its load", replica=record.id, error=repr(error))
        self._silent.add(record.id)
