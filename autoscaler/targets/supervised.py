"""A supervised replica: what one local process has shown of itself, and what is due to it."""

from dataclasses import dataclass
from enum import StrEnum

from autoscaler.observation import Replica
from autoscaler.targets.replica_client import Health
from autoscaler.targets.replica_process import ask_to_stop, kill, reap
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ReplicaRecord, is_alive


class Fate(StrEnum):
    """What has been decided about a replica."""

    WANTED = "wanted"
    LEAVING = "leaving"  # drains and exits, because somebody asked it to
    CONDEMNED = "condemned"  # killed for never starting or for falling silent


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that a local replica is given for each thing before it is killed."""

    start_seconds: float = 120.0  # until it is ready
    silent_seconds: float = 20.0  # alive without answering /health
    drain_seconds: float = 35.0  # from being asked to leave until it has exited


@dataclass(slots=True)
class Supervised:
    """One local replica process: started by this daemon, or adopted from an earlier one."""

    id: str
    pid: int
    is_child: bool  # started by this daemon, which must reap it
    met: float  # monotonic seconds: when it was started or first seen
    met_at: float  # the same on the wall clock
    record: ReplicaRecord | None = None
    health: Health | None = None  # its last answer
    answered: float | None = None  # monotonic seconds of that answer
    ready_since: float | None = None  # monotonic seconds when it was first seen ready
    fate: Fate = Fate.WANTED
    kill_after: float | None = None  # monotonic seconds
    is_told: bool = False  # has been sent SIGTERM

    @property
    def state(self) -> ReplicaState:
        """Where it stands: by what was decided, what it recorded, and what it answered."""
        if self.fate is Fate.CONDEMNED:
            return ReplicaState.FAILED
        if self.fate is Fate.LEAVING:
            return ReplicaState.DRAINING
        if self.record is None:
            return ReplicaState.STARTING
        if self.health is not None and self.health.since >= self.record.since:
            return self.health.state
        return self.record.state

    @property
    def was_ready(self) -> bool:
        """Whether it has ever been seen ready."""
        return self.ready_since is not None

    @property
    def is_leaving(self) -> bool:
        """Whether its exit is what somebody wanted."""
        return self.state in {ReplicaState.DRAINING, ReplicaState.STOPPED}

    @property
    def is_idle(self) -> bool:
        """Whether its last answer held no request."""
        return self.health is not None and self.health.running + self.health.waiting == 0

    def has_exited(self) -> bool:
        """Tell whether its process is gone, reaping it where it is our child."""
        exited = self.is_child and reap(self.pid)
        return exited if self.record is None else not is_alive(self.record)

    def heard(self, health: Health | None, *, now: float) -> None:
        """Take in an answer of /health, or its absence."""
        if health is not None and health.id == self.id:  # another program may own the port now
            self.health, self.answered = health, now
        if self.ready_since is None and self.state.is_ready:
            self.ready_since = now

    def is_overdue(self, deadlines: Deadlines, *, now: float) -> bool:
        """Tell whether it has taken longer to start, or to answer, than it is given."""
        if self.ready_since is None:
            return now - self.met > deadlines.start_seconds
        last = max(self.ready_since, self.answered or self.ready_since)
        return now - last > deadlines.silent_seconds

    def let_go(self, *, kill_after: float) -> None:
        """Note that it is to drain and exit, and when it has had its time."""
        self.fate, self.kill_after = Fate.LEAVING, kill_after

    def tell(self) -> None:
        """Ask its process, once, to drain and exit."""
        if not self.is_told and not self.has_exited():
            ask_to_stop(self._process)
        self.is_told = True

    def kill(self) -> None:
        """End its process now."""
        if not self.has_exited():
            kill(self._process)

    def seen(self) -> Replica:
        """Return the replica as the planner sees it."""
        listens = self.record is not None and self.record.port > 0
        return Replica(
            id=self.id,
            state=self.state,
            since=self.met_at if self.record is None else self.record.since,
            pid=self._process,
            url=self.record.url if self.record is not None and listens else None,
            in_flight=0 if self.health is None else self.health.running,
            waiting=0 if self.health is None else self.health.waiting,
        )

    @property
    def _process(self) -> int:
        """The pid to signal: the replica's own, which a wrapper's need not be."""
        return self.pid if self.record is None else self.record.pid
