"""Which models are in memory: loading beside serving, unloading, and what became of each."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import NamedTuple

import structlog

from inference.engine.errors import EngineError
from inference.models.repository import ModelVersion, NoSuchModelError, Source
from inference.models.spec import ModelError
from inference.replica.background import Tasks, in_daemon_thread
from inference.replica.hosted import Hosted
from inference.replica.metrics import ModelGauges, ReplicaMetrics
from inference.replica.models import ServedModels
from inference.replica.process import give_back_free_memory
from inference.runtimes.runtime import RuntimeFailedError, RuntimeMissingError, SleepLevel

Load = Callable[[ModelVersion], Hosted]

_log = structlog.get_logger(__name__)


class LoadFailedError(ModelError):
    """A model could not be loaded; the others go on."""


class ModelState(StrEnum):
    """Where a model of the repository stands, in Triton's words."""

    READY = "READY"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One line of the repository's index."""

    name: str
    version: str  # empty where none is in memory
    state: ModelState
    reason: str


class HostBusyError(RuntimeError):
    """What was asked for has to wait until something else is done."""


class _Loaded(NamedTuple):
    version: ModelVersion
    hosted: Hosted


@dataclass(slots=True)
class _Record:
    """What is known of one model."""

    name: str
    state: ModelState = ModelState.UNAVAILABLE
    reason: str = ""
    loaded: list[_Loaded] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # loads and unloads, one at a time


class Host:
    """The models of one replica. All methods belong to one event loop."""

    def __init__(
        self,
        source: Source,
        load: Load,
        models: ServedModels,
        metrics: ReplicaMetrics,
        *,
        drain_seconds: float,
    ) -> None:
        self.models = models
        self._source = source
        self._load_here = load
        self._metrics = metrics
        self._drain_seconds = drain_seconds
        self._records: dict[str, _Record] = {}
        self._tasks = Tasks()
        self._is_asleep = False
        self._over = asyncio.Event()
        self._failure = ""

    async def load_first(self, names: Iterable[str]) -> None:
        """Load models one after another; LoadFailedError where not a single one loads."""
        chosen = list(names) or await asyncio.to_thread(self._preloaded)
        errors = [error for name in chosen if (error := await self._try_load(name)) is not None]
        if errors and len(errors) == len(chosen):
            raise errors[0]

    async def load(self, name: str) -> None:
        """Load a model, or load it anew; until that is done, what was there goes on serving."""
        async with self._turn(name) as record:
            if not record.loaded:
                self._note(record, ModelState.LOADING, "it is being loaded")
            try:
                loaded = await self._load_versions(name)
            except Exception as error:  # any library may be at fault; the others go on
                self._note_failed_load(record, error)
                raise LoadFailedError(record.reason) from error
            before, record.loaded = record.loaded, loaded
            self._settle(before)
            self._publish(record)
            await self._retire(before)

    async def unload(self, name: str) -> None:
        """Finish a model's requests, then drop it; one that is not in memory is left alone."""
        async with self._turn(name) as record:
            before, record.loaded = record.loaded, []
            if before:
                self._note(record, ModelState.UNLOADING, "it is being unloaded")
                await self._retire(before)
                self._settle(before)
            self._note(record, ModelState.UNAVAILABLE, "it was unloaded")
            self.models.miss(name, None)

    async def index(self) -> list[ModelStatus]:
        """Return every model of the repository, with the versions that are in memory."""
        names = await asyncio.to_thread(self._source.names)
        return [
            status
            for name in sorted({*names, *self._records})
            for status in _statuses(self._records.get(name) or _Record(name))
        ]

    @property
    def slots(self) -> int:
        """How many requests fit into the batches of all models."""
        return sum(hosted.standing().slots for hosted in self._hosted())

    def standings(self) -> dict[str, ModelGauges]:
        """Return where each model in memory stands, by its own name."""
        return {hosted.name: hosted.standing() for hosted in self._hosted()}

    async def sleep(self, level: SleepLevel) -> None:
        """Let every model give up its memory, while no request is in flight."""
        busy = [name for name, record in self._records.items() if record.turn.locked()]
        if busy:
            raise HostBusyError(f"the model {busy[0]!r} is being loaded or unloaded")
        if any(hosted.standing().in_flight for hosted in self._hosted()):
            raise HostBusyError("requests are in flight")
        self._is_asleep = True
        for hosted in self._hosted():
            await hosted.sleep(level)

    async def wake(self) -> Mapping[str, Mapping[str, float]]:
        """Wake every model; return the seconds of each phase, by model."""
        seconds = {hosted.name: await hosted.wake() for hosted in self._hosted()}
        self._is_asleep = False
        return seconds

    def fail(self, reason: str) -> None:
        """State that no model can answer any more."""
        self._failure = reason
        self._over.set()

    async def over(self) -> str:
        """Wait until a failure leaves nothing that could answer; return it."""
        await self._over.wait()
        return self._failure

    async def stop(self) -> None:
        """End every model; requests in flight end in an error."""
        await self._tasks.cancel()
        for hosted in self._hosted():
            await hosted.stop()

    def _hosted(self) -> list[Hosted]:
        return [one.hosted for record in self._records.values() for one in record.loaded]

    def _preloaded(self) -> list[str]:
        return [name for name in self._source.names() if self._source.preloads(name)]

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[_Record]:
        """Wait for the turn to change a model; one that is unknown is a NoSuchModelError."""
        if name not in self._records and name not in await asyncio.to_thread(self._source.names):
            raise NoSuchModelError(f"there is no model {name[:100]!r}")
        record = self._records.setdefault(name, _Record(name))
        async with record.turn:
            if self._is_asleep:
                raise HostBusyError("the replica is asleep; wake it first")
            yield record

    async def _try_load(self, name: str) -> ModelError | None:
        try:
            await self.load(name)
        except ModelError as error:
            return error
        return None

    async def _load_versions(self, name: str) -> list[_Loaded]:
        """Load all versions or none."""
        loaded: list[_Loaded] = []
        try:
            for version in await asyncio.to_thread(self._source.versions, name):
                hosted = await in_daemon_thread(partial(self._load_here, version))
                loaded.append(_Loaded(version, hosted))
                hosted.start()
        except BaseException:
            for one in loaded:
                await one.hosted.stop()
            raise
        return loaded

    def _note_failed_load(self, record: _Record, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        is_told = isinstance(error, (ModelError, RuntimeFailedError, RuntimeMissingError))
        _log.error("model not loaded", model=record.name, reason=reason, exc_info=not is_told)
        self._metrics.of(record.name).loaded("failed", {})
        self._fail(record, reason)

    def _publish(self, record: _Record) -> None:
        for one in record.loaded:
            self.models.put(one.hosted, alias=_alias(one.version))
            self._tasks.begin(self._watch(record, one))
        self._note(record, ModelState.READY, "")

    async def _retire(self, loaded: list[_Loaded]) -> None:
        """Let no new request come, give those in flight their time, then end."""
        for one in loaded:
            self.models.remove(one.hosted)
        for one in loaded:
            with suppress(TimeoutError, EngineError, RuntimeFailedError):
                async with asyncio.timeout(self._drain_seconds):
                    await one.hosted.idle()
                    # Its memory is free from here on, whoever still knows the object.
                    await one.hosted.sleep(SleepLevel.NOTHING)
            await one.hosted.stop()
        await in_daemon_thread(give_back_free_memory)

    def _settle(self, loaded: list[_Loaded]) -> None:
        for one in loaded:
            self._metrics.settle(one.hosted.name, one.hosted.standing())

    async def _watch(self, record: _Record, one: _Loaded) -> None:
        """Drop a version that has failed; without any model left, the replica is over."""
        reason = await one.hosted.failed()
        if one not in record.loaded:
            return
        record.loaded.remove(one)
        self._settle([one])
        self.models.remove(one.hosted)
        _log.error("model failed", model=one.hosted.name, reason=reason)
        self._fail(record, reason)
        if not self._hosted():
            self.fail(reason)
        await one.hosted.stop()

    def _fail(self, record: _Record, reason: str) -> None:
        """State why a model is not there, or what failed where a version of it still is."""
        state = ModelState.READY if record.loaded else ModelState.UNAVAILABLE
        self._note(record, state, reason)

    def _note(self, record: _Record, state: ModelState, reason: str) -> None:
        record.state, record.reason = state, reason
        # Clients are not told of the files on this machine: the index says those.
        missing = {
            ModelState.READY: None,
            ModelState.UNAVAILABLE: "it has failed; the replica's log says why",
        }
        self.models.miss(record.name, missing.get(state, reason))


def _alias(version: ModelVersion) -> str | None:
    """Return the other name of a version: with its number, or for the newest without."""
    numbered = f"{version.model}:{version.version}"
    if version.name != numbered:
        return numbered
    return version.model if version.is_newest else None


def _statuses(record: _Record) -> list[ModelStatus]:
    versions = [str(one.version.version) for one in record.loaded] or [""]
    return [ModelStatus(record.name, one, record.state, record.reason) for one in versions]
