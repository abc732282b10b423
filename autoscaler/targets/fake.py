"""A scaling target in memory, for tests and simulations: replicas that only keep time."""

from dataclasses import replace

from autoscaler.lead_time import LeadTimes
from autoscaler.observation import Fleet, Replica
from autoscaler.plan import Plan
from autoscaler.targets.moves import moves
from telemetry.clock import Clock
from telemetry.lifecycle import ReplicaState


class FakeTarget:
    """Simulated replicas that take a fixed time to start, to wake and to drain."""

    def __init__(
        self,
        clock: Clock,
        *,
        start_seconds: float = 10.0,
        wake_seconds: float = 0.0,
        drain_seconds: float = 0.0,
        lead_times: LeadTimes | None = None,
    ) -> None:
        self._clock = clock
        self._start_seconds = start_seconds
        self._wake_seconds = wake_seconds
        self._drain_seconds = drain_seconds
        self._lead_times = lead_times
        self._replicas: dict[str, Replica] = {}
        self._due: dict[str, tuple[float, ReplicaState]] = {}
        self._made = 0

    async def observe(self) -> Fleet:
        """Return the replicas, after those moves whose time has come."""
        for name, (due, state) in list(self._due.items()):
            if due <= self._clock.now():
                del self._due[name]
                self._enter(name, state, since=due)
        return Fleet(tuple(self._replicas.values()))

    async def apply(self, plan: Plan) -> None:
        """Begin the moves that bring the fleet to `plan`."""
        todo = moves(await self.observe(), plan)
        for replica in todo.wake:
            self._begin(replica.id, ReplicaState.SERVING, after=self._wake_seconds)
        for replica in todo.rest:
            self._begin(replica.id, ReplicaState.STANDBY, after=0.0)
        for replica in todo.drain:
            self._enter(replica.id, ReplicaState.DRAINING, since=self._clock.now())
            self._begin(replica.id, ReplicaState.STOPPED, after=self._drain_seconds)
        for state in todo.start:
            self._start(state)

    def crash(self, replica: str) -> None:
        """Let one replica die without being asked to."""
        self._due.pop(replica, None)
        del self._replicas[replica]

    def load(self, replica: str, *, in_flight: int, waiting: int = 0) -> None:
        """Give one replica requests."""
        busy = replace(self._replicas[replica], in_flight=in_flight, waiting=waiting)
        self._replicas[replica] = busy

    def _start(self, state: ReplicaState) -> None:
        self._made += 1
        name = f"fake-{self._made}"
        self._replicas[name] = Replica(name, ReplicaState.STARTING, self._clock.now(), 0, None)
        self._begin(name, state, after=self._start_seconds)

    def _begin(self, name: str, state: ReplicaState, *, after: float) -> None:
        if (name in self._due) and self._due[name][1] is state:
            return  # on its way there
        self._due[name] = (self._clock.now() + after, state)

    def _enter(self, name: str, state: ReplicaState, *, since: float) -> None:
        before = self._replicas[name]
        if state is ReplicaState.STOPPED:
            del self._replicas[name]
            return
        self._replicas[name] = replace(before, state=state, since=since)
        if self._lead_times is not None and state.is_ready:
            self._record(self._lead_times, before.state, since - before.since)

    def _record(self, lead_times: LeadTimes, before: ReplicaState, seconds: float) -> None:
        if before is ReplicaState.STARTING:
            lead_times.record_start(seconds)
        if before is ReplicaState.STANDBY:
            lead_times.record_wake(self._wake_seconds)
