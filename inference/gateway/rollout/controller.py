"""The controller: each second it looks at every rollout, lets it go on, and writes it down."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import structlog

from inference.gateway.rollout.file import RolloutFile
from inference.gateway.rollout.plan import RolloutPlan
from inference.gateway.rollout.probes import Ask, HttpAsk, ask_round
from inference.gateway.rollout.rollout import Move, Order, Phase, Readiness
from inference.gateway.rollout.rollouts import Rollouts
from inference.gateway.rollout.running import Running
from inference.gateway.rollout.settings import RolloutSettings
from inference.gateway.routing.choice import Capacity
from telemetry.clock import Clock
from telemetry.process_table import ReplicaRecord

_log = structlog.get_logger(__name__)
_PROBED = (Phase.PREPARING, Phase.SHIFTING, Phase.SWITCHED)


class Fleet(Protocol):
    """The replicas that serve, as the gateway knows them; its roster is one."""

    def serving_records(self) -> Sequence[ReplicaRecord]:
        """Return the records of all replicas that take traffic."""
        ...

    def capacity(self, model: str, version: str | None = None) -> Capacity:
        """Return what the replicas of one version offer now."""
        ...


class NotServedError(Exception):
    """A rollout names a version of which no replica serves."""


class Controller:
    """Runs the rollouts of one gateway."""

    def __init__(
        self,
        rollouts: Rollouts,
        fleet: Fleet,
        *,
        clock: Clock,
        settings: RolloutSettings | None = None,
        ask: Ask | None = None,
    ) -> None:
        """`ask` puts a probe to one replica; without it, HTTP does."""
        self._rollouts = rollouts
        self._fleet = fleet
        self._clock = clock
        self._settings = settings or RolloutSettings()
        self._ask = ask
        path = self._settings.path
        self._file = None if path is None else RolloutFile(path)
        self._saving = asyncio.Lock()
        self._saved_at = clock.monotonic()
        self._rounds = 0
        self.is_kept = True  # what was last to be written is on disk

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take up the rollouts that were kept, and run them while entered."""
        await self.restore()
        async with AsyncExitStack() as stack:
            if self._ask is None:
                deadline = self._settings.probe_deadline_seconds
                self._ask = await stack.enter_async_context(HttpAsk(deadline_seconds=deadline))
            stack.push_async_callback(self._save)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            tasks = [
                group.create_task(_repeat(self.tick, self._settings.tick_seconds)),
                group.create_task(_repeat(self.probe, self._settings.probe_seconds)),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def restore(self) -> None:
        """Take up the rollouts that an earlier process wrote down."""
        if self._file is not None:
            self._rollouts.restore(await asyncio.to_thread(self._file.read))

    async def start(self, plan: RolloutPlan) -> Running:
        """Begin a rollout; NotServedError where stable does not serve yet."""
        versions = self.versions(plan.model)
        if plan.stable not in versions:
            raise NotServedError(
                f"no replica of version {plan.stable!r} serves model {plan.model!r}; "
                f"serving are: {_listed(versions)}"
            )
        running = self._rollouts.start(plan)
        _log.info("rollout started", **_names(plan), strategy=plan.strategy.value)
        await self._save()
        return running

    async def follow(self, model: str, order: Order) -> Running:
        """Follow an operator's order; OrderRefusedError says why it cannot be."""
        moves = self._rollouts.follow(model, order)
        running = self._rollouts.of(model)
        _log.info("rollout ordered", **_names(running.plan), order=order.value)
        self._tell(running, moves)
        await self._save()
        return running

    async def finish(self, model: str) -> Running:
        """Remove a rollout: requests go to any version from here on."""
        running = self._rollouts.finish(model)
        _log.info("rollout finished", **_names(running.plan), phase=running.state.phase.value)
        await self._save()
        return running

    def versions(self, model: str) -> list[str]:
        """Name the versions of a model that serve."""
        records = self._fleet.serving_records()
        return sorted({record.version for record in records if record.serves(model)})

    def stable_beside(self, model: str, canary: str) -> str:
        """Name the one other version that serves; NotServedError where that is not one."""
        others = [version for version in self.versions(model) if version != canary]
        if len(others) != 1:
            raise NotServedError(
                f"which version of {model!r} is stable cannot be told; "
                f"serving beside {canary!r} are: {_listed(others)}"
            )
        return others[0]

    def readiness(self, running: Running) -> Readiness:
        """Tell what serves of both versions now."""
        plan = running.plan
        return Readiness(
            stable=self._fleet.capacity(plan.model, plan.stable),
            canary=self._fleet.capacity(plan.model, plan.canary),
            old_sessions=self._rollouts.old_sessions(running),
        )

    async def tick(self) -> None:
        """Look at every rollout once."""
        has_moved = False
        for running in self._rollouts:
            moves = self._rollouts.look(running.plan.model, self.readiness(running))
            self._tell(running, moves)
            has_moved |= bool(moves)
        self._rollouts.show()
        is_due = self._clock.monotonic() - self._saved_at >= self._settings.save_seconds
        if has_moved or (is_due and any(not one.state.phase.is_final for one in self._rollouts)):
            await self._save()

    async def probe(self) -> None:
        """Ask both versions of every rollout its probes once."""
        self._rounds += 1
        ones = [one for one in self._rollouts if one.plan.probes and one.state.phase in _PROBED]
        await asyncio.gather(*(self._probe(one) for one in ones))

    async def _probe(self, running: Running) -> None:
        if self._ask is None:
            raise RuntimeError("probes are asked only while the controller runs")
        plan, weight = running.plan, running.weight
        stable, canary = (self._replica(plan, one) for one in (plan.stable, plan.canary))
        answers = await ask_round(plan, stable, canary, self._ask)
        if running.weight == weight:  # else it belongs to a step that is over
            running.add_round(answers)

    def _replica(self, plan: RolloutPlan, version: str) -> ReplicaRecord | None:
        """Choose the replica to probe: each in its turn."""
        ones = [
            record
            for record in self._fleet.serving_records()
            if record.version == version and record.serves(plan.model)
        ]
        return ones[self._rounds % len(ones)] if ones else None

    def _tell(self, running: Running, moves: Sequence[Move]) -> None:
        for move in moves:
            _log.info(
                "rollout moved", **_names(running.plan), phase=move.phase.value,
                weight=move.weight, reason=move.reason.value,
            )  # fmt: skip

    async def _save(self) -> None:
        """Write the rollouts down; where that fails they go on, and it is said once."""
        if self._file is None:
            return
        async with self._saving:
            self._saved_at = self._clock.monotonic()
            write = asyncio.create_task(asyncio.to_thread(self._file.write, self._rollouts.kept()))
            try:
                await _to_its_end(write)
            except OSError as error:
                if self.is_kept:
                    _log.error("rollouts cannot be written down", why=str(error))
                self.is_kept = False
            else:
                self.is_kept = True


async def _to_its_end(task: asyncio.Task[None]) -> None:
    """Wait for a task that must not be left half done, even if told to stop meanwhile."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _repeat(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - the loop's edge: one turn must not end all
            _log.exception("rollouts: a turn failed; the next comes")
        await asyncio.sleep(seconds)


def _names(plan: RolloutPlan) -> dict[str, str]:
    return {"model": plan.model, "stable": plan.stable, "canary": plan.canary}


def _listed(versions: Sequence[str]) -> str:
    return ", ".join(repr(version) for version in versions) or "none"
