"""One replica's process: listen, announce, load, serve, sleep, drain, leave."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from aiohttp import web
from opentelemetry.trace import Tracer

from inference.engine.errors import EngineStoppedError
from inference.models.repository import ModelVersion, OneModel, Repository, Source
from inference.replica.admin import AdminApi
from inference.replica.background import unless
from inference.replica.completions import Completions
from inference.replica.host import Host
from inference.replica.hosted import Hosted
from inference.replica.lifecycle import Identity, Lifecycle
from inference.replica.metrics import ReplicaMetrics
from inference.replica.models import ServedModels
from inference.replica.pages import Pages
from inference.replica.process import give_back_free_memory
from inference.replica.server import ReplicaServer
from inference.replica.settings import ReplicaSettings
from inference.replica.traffic import Traffic
from inference.replica.transitions import Transitions
from telemetry.clock import Clock
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable
from telemetry.publish import Metrics

_HANDLER_SECONDS = 2.0  # for handlers to tell their clients that the engine is over

_log = structlog.get_logger(__name__)


class Replica:
    """A replica in this process, which is `age_seconds` old by now.

    `opened` is called once its models are loaded; with `is_exported` false, nobody sees the
    spans of requests, and they only carry ids.
    """

    def __init__(
        self,
        settings: ReplicaSettings,
        *,
        tracer: Tracer,
        clock: Clock,
        is_exported: bool = True,
        age_seconds: float | None = None,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._tracer = tracer
        self._is_exported = is_exported
        self._clock = clock
        self._metrics = ReplicaMetrics(Metrics(), model=settings.model_name, replica=settings.id)
        self._opened = opened
        self._drain_asked = asyncio.Event()
        # What came before the first load, and is told with it.
        self._before = {} if age_seconds is None else {"process": age_seconds}
        self._host = Host(
            _source(settings),
            self._load,
            ServedModels(self._name_models),
            self._metrics,
            drain_seconds=settings.drain_seconds,
        )
        slots = settings.engine.slots * settings.engine.instances
        identity = Identity(
            settings.id,
            settings.model_name,
            settings.host,
            slots,
            region=settings.region,
            version=settings.version,
            device=settings.device,
        )
        self._lifecycle = Lifecycle(identity, ProcessTable(settings.table), clock)
        self._traffic = Traffic(self._lifecycle)

    async def run(self) -> int:
        """Live a replica's whole life; return the exit status of its process."""
        async with self._listening() as port:
            self._lifecycle.announce(port)
            try:
                await self._live()
            except Exception as error:  # noqa: BLE001 - whatever it is, the table must show it
                _log.exception("replica failed", reason=str(error))
                self._lifecycle.move(ReplicaState.FAILED)
                return 1
        self._lifecycle.withdraw()
        return 0

    def drain(self) -> None:
        """Finish what is in flight, then end; before the models are loaded, end at once."""
        self._drain_asked.set()

    async def _live(self) -> None:
        await unless(self._drain_asked, self._host.load_first(self._settings.load))
        if not self._drain_asked.is_set():
            self._open()
            failure = await unless(self._drain_asked, self._host.over())
            if failure is not None:
                raise EngineStoppedError(failure)
            await self._finish()
        await self._host.stop()
        self._lifecycle.move(ReplicaState.STOPPED)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[int]:
        """Answer HTTP; yield the port. A client that leaves cancels what it asked for."""
        runner = web.AppRunner(
            self._server().app(),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=_HANDLER_SECONDS,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._settings.host, self._settings.port).start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    def _server(self) -> ReplicaServer:
        transitions = Transitions(
            self._lifecycle,
            self._host,
            self._traffic,
            self._metrics,
            tracer=self._tracer,
            clock=self._clock,
            drain_seconds=self._settings.drain_seconds,
            drain=self.drain,
        )
        return ReplicaServer(
            self._host,
            self._traffic,
            pages=self._pages(),
            completions=Completions(
                self._host.models,
                self._metrics,
                tracer=self._tracer,
                clock=self._clock,
                is_exported=self._is_exported,
            ),
            admin=AdminApi(self._lifecycle, transitions, self._host, key=self._settings.admin_key),
        )

    def _pages(self) -> Pages:
        return Pages(
            self._lifecycle,
            self._host,
            self._metrics,
            stall_seconds=self._settings.stall_seconds,
            vllm_names=self._settings.vllm_names,
        )

    def _load(self, version: ModelVersion) -> Hosted:
        """Load one version, in a thread: the server already answers /health."""
        began = self._clock.monotonic()
        # The runtime takes half a second to import: by now the port is open.
        from inference.replica.loading import load_hosted  # noqa: PLC0415

        before, self._before = self._before, {}
        before["libraries"] = self._clock.monotonic() - began
        hosted = load_hosted(
            version,
            self._settings.engine,
            self._metrics,
            tracer=self._tracer,
            clock=self._clock,
            before=before,
        )
        give_back_free_memory()  # loading needs several times what it leaves
        return hosted

    def _name_models(self) -> None:
        if self._settings.repository is not None:  # else there is the one name that it was given
            self._lifecycle.name_models(self._host.models.all_names())

    def _open(self) -> None:
        """Take requests, unless the replica is to stand by first."""
        if self._host.slots:
            self._lifecycle.resize(self._host.slots)
        self._opened()
        self._lifecycle.move(ReplicaState.STANDBY)
        self._lifecycle.move(self._settings.state)

    async def _finish(self) -> None:
        """Refuse new requests, give those in flight their time, then end them.

        Whoever sends requests here learns of it within the notice, and is refused until then.
        """
        self._lifecycle.move(ReplicaState.DRAINING)
        notice = asyncio.create_task(asyncio.sleep(self._settings.notice_seconds))
        before = self._traffic.in_flight
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._traffic.idle()
        killed = self._traffic.in_flight
        self._metrics.drained(finished=before - killed, killed=killed)
        _log.info("drained", finished=before - killed, killed=killed)
        await self._host.stop()
        await notice


def _source(settings: ReplicaSettings) -> Source:
    if settings.repository is not None:
        return Repository(settings.repository)
    assert settings.model_dir is not None  # noqa: S101 - either is there
    return OneModel(settings.model_dir, settings.model_name)
