"""The local target: replicas as supervised processes of one machine.

Replicas live in sessions of their own and describe themselves in the process table, so they
survive the daemon; the next one adopts them. `apply` only sets things going; `observe` sees
what came of it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from autoscaler.lead_time import LeadTimes
from autoscaler.observation import Fleet, Replica
from autoscaler.plan import Plan
from autoscaler.targets.backoff import Backoff
from autoscaler.targets.moves import moves
from autoscaler.targets.outcomes import Outcomes
from autoscaler.targets.replica_client import ReplicaClient, ReplicaClientError
from autoscaler.targets.replica_log import ReplicaLogs
from autoscaler.targets.replica_process import start_process
from autoscaler.targets.supervised import Deadlines, Supervised
from autoscaler.targets.supervisor import Supervisor
from telemetry.clock import Clock
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable
from telemetry.publish import Metrics

_log = structlog.get_logger(__name__)
_LAST_GASP_SECONDS = 5.0  # a killed process is gone within moments, unless the kernel has it

Command = Callable[[str, ReplicaState], list[str]]
"""Returns the command line that starts the replica of this id into this state."""


class LocalTarget:
    """Supervised replica processes of one model on this machine (a ScalingTarget)."""

    def __init__(
        self,
        *,
        model: str,
        command: Command,
        table: ProcessTable,
        client: ReplicaClient,
        logs: ReplicaLogs,
        metrics: Metrics,
        lead_times: LeadTimes,
        clock: Clock,
        maximum: int,
        deadlines: Deadlines | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._command = command
        self._client = client
        self._logs = logs
        self._clock = clock
        self._maximum = maximum
        self._deadlines = deadlines or Deadlines()
        self._backoff = backoff or Backoff()
        self._outcomes = Outcomes(model, metrics=metrics, lead_times=lead_times)
        self._supervisor = Supervisor(
            model=model,
            table=table,
            client=client,
            logs=logs,
            outcomes=self._outcomes,
            clock=clock,
            deadlines=self._deadlines,
            backoff=self._backoff,
        )
        self._fleet: Fleet | None = None
        self._is_closed = False
        self._last_name = 0

    @property
    def fleet(self) -> Fleet:
        """The fleet as last observed, and as changed by what was done since."""
        return self._fleet or Fleet()

    async def observe(self) -> Fleet:
        """Return the fleet as it stands, after burying the dead and killing the overdue."""
        self._fleet = await self._supervisor.observe()
        return self._fleet

    async def apply(self, plan: Plan) -> None:
        """Start, wake, rest and drain towards the plan; wait for none of it to be done."""
        if self._is_closed:
            return
        todo = moves(self._fleet or await self.observe(), plan)
        for state in todo.start:
            self._start(state)
        async with asyncio.TaskGroup() as group:
            for replica in todo.wake:
                group.create_task(self._wake(replica))
            for replica in todo.rest:
                group.create_task(self._move(replica, ReplicaState.STANDBY))
            for replica in todo.drain:
                group.create_task(self._dismiss(replica))

    async def close(self, *, drain: bool = True) -> None:
        """Stop acting; with `drain`, let every replica finish and leave no process behind."""
        self._is_closed = True
        if not drain:
            return
        fleet = await self.observe()
        async with asyncio.TaskGroup() as group:
            for replica in fleet.replicas:
                group.create_task(self._dismiss(replica))
        give_up = self._clock.monotonic() + self._deadlines.drain_seconds + _LAST_GASP_SECONDS
        while self._supervisor.replicas and self._clock.monotonic() < give_up:
            await asyncio.sleep(0.02)
            await self.observe()
        if self._supervisor.replicas:
            _log.error("replicas cannot be killed", replicas=sorted(self._supervisor.replicas))

    def _start(self, state: ReplicaState) -> None:
        """Start one process, unless the machine is full or starting has failed lately.

        Nothing is awaited between starting it and noting it, so that no cancellation can
        come between.
        """
        now = self._clock.monotonic()
        is_full = len(self._supervisor.replicas) >= self._maximum
        if is_full or not self._backoff.may_start(now):
            return
        name = self._new_name()
        command = self._command(name, state)
        try:
            pid = start_process(command, log=self._logs.path(name))
        except OSError as error:
            self._outcomes.not_started(command[0], error)
            self._backoff.failed(now, started=now)
            return
        one = Supervised(name, pid, is_child=True, met=now, met_at=self._clock.now())
        self._supervisor.replicas[name] = one
        self._note(one.seen())
        _log.info("replica started", replica=name, pid=pid, into=state)

    async def _wake(self, replica: Replica) -> None:
        began = self._clock.monotonic()
        if await self._move(replica, ReplicaState.SERVING):
            self._outcomes.woke(replica.id, self._clock.monotonic() - began)

    async def _dismiss(self, replica: Replica) -> None:
        """Let one replica finish what it holds and exit, within the drain deadline."""
        one = self._supervisor.replicas.get(replica.id)
        if one is None:
            return
        one.let_go(kill_after=self._clock.monotonic() + self._deadlines.drain_seconds)
        self._note(one.seen())
        if replica.state.is_ready:
            await self._move(replica, ReplicaState.DRAINING)
        one.tell()

    async def _move(self, replica: Replica, state: ReplicaState) -> bool:
        """Bring one replica into `state`; a refusal is logged and seen at the next turn."""
        if replica.url is None:
            return False
        try:
            await self._client.move(replica.url, state)
        except ReplicaClientError as error:
            _log.warning("replica not moved", replica=replica.id, to=state, error=str(error))
            return False
        self._note(replace(replica, state=state, since=self._clock.now()))
        return True

    def _note(self, replica: Replica) -> None:
        """Keep the last observation true to what was done since: applying twice is safe."""
        others = [one for one in self.fleet.replicas if one.id != replica.id]
        self._fleet = Fleet((*others, replica))

    def _new_name(self) -> str:
        """Return an id that no earlier daemon has given: milliseconds, one apart at least."""
        self._last_name = max(int(self._clock.now() * 1000), self._last_name + 1)
        return f"r{self._last_name:x}"
