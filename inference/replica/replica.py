"""One replica's process: listen, announce, load, serve, drain, leave."""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from opentelemetry.trace import Tracer

from inference.engine.engine import Engine
from inference.engine.errors import EngineStoppedError
from inference.replica.background import in_daemon_thread, unless
from inference.replica.completions import Completions
from inference.replica.lifecycle import Identity, Lifecycle
from inference.replica.metrics import ReplicaMetrics
from inference.replica.prompts import Prompts, Served
from inference.replica.server import ReplicaServer
from inference.replica.settings import ReplicaSettings
from telemetry.clock import Clock
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable
from telemetry.publish import Metrics

if TYPE_CHECKING:
    from inference.replica.loading import LoadedModel

_HANDLER_SECONDS = 2.0  # for handlers to tell their clients that the engine is over
_SEED_BITS = 63

_log = structlog.get_logger(__name__)


class Replica:
    """A replica in this process."""

    def __init__(self, settings: ReplicaSettings, *, tracer: Tracer, clock: Clock) -> None:
        identity = Identity(settings.id, settings.model_name, settings.host, settings.engine.slots)
        self._settings = settings
        self._tracer = tracer
        self._clock = clock
        self._lifecycle = Lifecycle(identity, ProcessTable(settings.table), clock)
        self._metrics = ReplicaMetrics(Metrics(), model=settings.model_name, replica=settings.id)
        self._drain_asked = asyncio.Event()
        self._server = ReplicaServer(
            self._lifecycle, self._metrics, admin_key=settings.admin_key, drain=self.drain
        )

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
        """Finish what is in flight, then end; before the model is loaded, end at once."""
        self._drain_asked.set()

    async def _live(self) -> None:
        model = await unless(self._drain_asked, self._load())
        if model is not None:
            model.engine.start()
            self._open(model)
            failure = await unless(self._drain_asked, model.engine.ended())
            if failure is not None:
                raise EngineStoppedError(failure)
            await self._finish(model.engine)
        self._lifecycle.move(ReplicaState.STOPPED)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[int]:
        """Answer HTTP; yield the port. A client that leaves cancels what it asked for."""
        runner = web.AppRunner(
            self._server.app(),
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

    async def _load(self) -> "LoadedModel":
        """Load the model while the server already answers /health."""
        return await in_daemon_thread(self._load_here)

    def _load_here(self) -> "LoadedModel":
        # The runtime takes half a second to import: by now the port is open.
        from inference.replica.loading import load_model  # noqa: PLC0415

        return load_model(
            self._settings.model_dir,
            self._settings.engine,
            clock=self._clock,
            observe=self._metrics.iterated,
        )

    def _open(self, model: "LoadedModel") -> None:
        """Take requests, unless the replica is to stand by first."""
        paced = self._settings.engine.min_iteration_seconds
        self._metrics.profiled(model.cost, paced_seconds=paced)
        served = Served(
            self._settings.model_name,
            model.engine,
            model.tokenizer,
            model.spec.vocabulary,
            model.spec.stop_tokens,
            model.defaults,
        )
        prompts = Prompts(served, _new_id, partial(secrets.randbits, _SEED_BITS))
        self._server.completions = Completions(
            prompts, self._metrics, tracer=self._tracer, clock=self._clock
        )
        self._lifecycle.move(ReplicaState.STANDBY)
        self._lifecycle.move(self._settings.state)

    async def _finish(self, engine: Engine) -> None:
        """Refuse new requests, give those in flight their time, then stop the engine."""
        self._lifecycle.move(ReplicaState.DRAINING)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._server.idle()
        await engine.stop()


def _new_id() -> str:
    return uuid.uuid4().hex
