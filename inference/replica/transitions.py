"""From state to state by order: to serving and standby, to sleep, and awake again."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry.trace import Tracer

from inference.replica.background import in_daemon_thread
from inference.replica.host import Host, HostBusyError
from inference.replica.lifecycle import IllegalMoveError, Lifecycle
from inference.replica.metrics import ReplicaMetrics
from inference.replica.process import give_back_free_memory, resident_bytes
from inference.replica.traffic import Traffic
from inference.runtimes.runtime import SleepLevel
from telemetry.clock import Clock
from telemetry.lifecycle import ReplicaState

_AWAKE = (ReplicaState.STANDBY, ReplicaState.SERVING)


class TransitionFailedError(RuntimeError):
    """Sleeping or waking failed, and the replica with it."""


class Transitions:
    """Obeys orders one after another; draining does not wait for its turn."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        host: Host,
        traffic: Traffic,
        metrics: ReplicaMetrics,
        *,
        tracer: Tracer,
        clock: Clock,
        drain_seconds: float,
        drain: Callable[[], None],
    ) -> None:
        self._lifecycle = lifecycle
        self._host = host
        self._traffic = traffic
        self._metrics = metrics
        self._tracer = tracer
        self._clock = clock
        self._drain_seconds = drain_seconds
        self._drain = drain
        self._turn = asyncio.Lock()
        self._level: SleepLevel | None = None

    @property
    def is_asleep(self) -> bool:
        """Whether the models have given up their memory."""
        return self._lifecycle.state is ReplicaState.ASLEEP

    async def enter(self, state: ReplicaState, *, level: SleepLevel) -> None:
        """Go to a state; IllegalMoveError where that cannot be, TransitionFailedError if it fails.

        `level` is that of sleep; sleeping waits for the requests in flight, for as long as
        draining would.
        """
        if state is ReplicaState.DRAINING:
            self._lifecycle.move(state)
            self._drain()
            return
        async with self._turn:
            if state is ReplicaState.ASLEEP:
                await self._fall_asleep(level)
                return
            if self.is_asleep:
                await self._wake()
            self._lifecycle.move(state)

    async def _fall_asleep(self, level: SleepLevel) -> None:
        before = self._lifecycle.state
        if self.is_asleep and level is self._level:
            return
        if before not in _AWAKE:
            raise IllegalMoveError(f"A replica cannot go from {before} to sleep level {level}.")
        self._lifecycle.move(ReplicaState.STANDBY)
        try:
            await self._quiet()
            await self._sleep(level)
        except (TimeoutError, HostBusyError) as error:
            self._lifecycle.move(before)
            reason = str(error) or f"requests are in flight after {self._drain_seconds} s"
            raise IllegalMoveError(f"The replica cannot sleep now: {reason}.") from error

    async def _quiet(self) -> None:
        async with asyncio.timeout(self._drain_seconds):
            await self._traffic.idle()

    async def _sleep(self, level: SleepLevel) -> None:
        memory, began = resident_bytes(), self._clock.monotonic()
        with self._fatal("sleep"), self._tracer.start_as_current_span("sleep") as span:
            span.set_attribute("warmfront.sleep.level", int(level))
            await self._host.sleep(level)
            await in_daemon_thread(give_back_free_memory)
        seconds = self._clock.monotonic() - began
        self._level = level
        self._metrics.slept(level, seconds, before=memory, after=resident_bytes())
        self._lifecycle.move(ReplicaState.ASLEEP)

    async def _wake(self) -> None:
        assert self._level is not None  # noqa: S101 - it is asleep
        with self._fatal("wake"), self._tracer.start_as_current_span("wake") as span:
            span.set_attribute("warmfront.sleep.level", int(self._level))
            for model, phases in (await self._host.wake()).items():
                self._metrics.of(model).woken(self._level, phases)
                for phase, seconds in phases.items():
                    span.set_attribute(f"warmfront.wake.{model}.{phase}_seconds", seconds)
        self._level = None
        self._lifecycle.move(ReplicaState.STANDBY)

    @contextmanager
    def _fatal(self, what: str) -> Iterator[None]:
        """Whatever goes wrong half-way leaves nothing that could serve: the replica ends."""
        try:
            yield
        except HostBusyError:
            raise  # nothing has happened yet
        except Exception as error:
            self._host.fail(f"could not {what}: {error}")
            raise TransitionFailedError(f"The replica could not {what}: {error}.") from error
