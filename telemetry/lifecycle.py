"""The life of a replica: one enum and its legal moves, used by every room."""

from enum import StrEnum


class ReplicaState(StrEnum):
    """Where one running copy of a model stands."""

    ABSENT = "absent"
    STARTING = "starting"
    STANDBY = "standby"  # weights loaded, takes no traffic
    SERVING = "serving"
    ASLEEP = "asleep"  # process up, weights out of device memory
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_ready(self) -> bool:
        """Whether the weights are loaded, with or without traffic."""
        return self in {ReplicaState.STANDBY, ReplicaState.SERVING}

    @property
    def is_over(self) -> bool:
        """Whether the replica will never serve again."""
        return self in {ReplicaState.STOPPED, ReplicaState.FAILED}


_MOVES: dict[ReplicaState, frozenset[ReplicaState]] = {
    ReplicaState.ABSENT: frozenset({ReplicaState.STARTING}),
    ReplicaState.STARTING: frozenset({ReplicaState.STANDBY, ReplicaState.STOPPED}),
    ReplicaState.STANDBY: frozenset(
        {ReplicaState.SERVING, ReplicaState.ASLEEP, ReplicaState.DRAINING, ReplicaState.STOPPED}
    ),
    ReplicaState.SERVING: frozenset({ReplicaState.STANDBY, ReplicaState.DRAINING}),
    ReplicaState.ASLEEP: frozenset(
        {ReplicaState.STANDBY, ReplicaState.DRAINING, ReplicaState.STOPPED}
    ),
    ReplicaState.DRAINING: frozenset({ReplicaState.STOPPED}),
    ReplicaState.STOPPED: frozenset(),
    ReplicaState.FAILED: frozenset(),
}


def can_move(before: ReplicaState, after: ReplicaState) -> bool:
    """Tell whether a replica may go from one state to the other; failing is always possible."""
    if after is ReplicaState.FAILED:
        return not before.is_over
    return after in _MOVES[before]
