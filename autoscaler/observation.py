"""An observation: what is known at one moment about a model's demand and its replicas."""

import math
from dataclasses import dataclass

from telemetry.lifecycle import ReplicaState

_UP = frozenset({ReplicaState.STARTING, ReplicaState.STANDBY, ReplicaState.SERVING})


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica as it was last seen."""

    id: str
    state: ReplicaState
    since: float  # when `state` was entered, seconds since the epoch
    pid: int
    url: str | None  # None until its server listens
    in_flight: int = 0  # requests in its batch
    waiting: int = 0  # requests waiting for a place in the batch

    @property
    def load(self) -> int:
        """Requests it holds, running or waiting."""
        return self.in_flight + self.waiting


@dataclass(frozen=True, slots=True)
class Fleet:
    """All replicas of one model."""

    replicas: tuple[Replica, ...] = ()

    def in_state(self, state: ReplicaState) -> tuple[Replica, ...]:
        """Return the replicas in `state`."""
        return tuple(replica for replica in self.replicas if replica.state is state)

    def count(self, state: ReplicaState) -> int:
        """Return how many replicas are in `state`."""
        return len(self.in_state(state))

    @property
    def counts(self) -> dict[ReplicaState, int]:
        """How many replicas are in each state, zeros included."""
        return {state: self.count(state) for state in ReplicaState}

    @property
    def serving(self) -> int:
        """Replicas that take traffic."""
        return self.count(ReplicaState.SERVING)

    @property
    def up(self) -> int:
        """Replicas that serve, stand by, or are about to."""
        return sum(replica.state in _UP for replica in self.replicas)

    @property
    def in_flight(self) -> int:
        """Requests in the batches of all replicas."""
        return sum(replica.in_flight for replica in self.replicas)

    @property
    def waiting(self) -> int:
        """Requests waiting inside replicas for a place in a batch."""
        return sum(replica.waiting for replica in self.replicas)


@dataclass(frozen=True, slots=True)
class Observation:
    """Demand and fleet at one moment; what is not known is None, never zero."""

    at: float
    model: str
    fleet: Fleet
    demand: float | None  # requests/s
    held: int | None = None  # requests that the gateway holds because no replica serves
    input_tokens: float | None = None  # mean per request
    output_tokens: float | None = None

    def __post_init__(self) -> None:
        for name in ("demand", "input_tokens", "output_tokens"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                object.__setattr__(self, name, None)  # no rate is negative, endless or NaN

    @property
    def backlog(self) -> int:
        """Requests known to wait, at the gateway or inside replicas."""
        return (self.held or 0) + self.fleet.waiting
