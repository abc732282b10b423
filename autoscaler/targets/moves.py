"""The moves that bring a fleet to its plan: pure, so that every target chooses alike."""

from dataclasses import dataclass

from autoscaler.observation import Fleet, Replica
from autoscaler.plan import Plan
from telemetry.lifecycle import ReplicaState

_GIVE_UP_FIRST = (ReplicaState.STARTING, ReplicaState.STANDBY, ReplicaState.SERVING)


@dataclass(frozen=True, slots=True)
class Moves:
    """What to do: replicas to wake, rest and drain, and the states to start new ones into."""

    wake: tuple[Replica, ...] = ()
    rest: tuple[Replica, ...] = ()  # from serving to standby
    drain: tuple[Replica, ...] = ()
    start: tuple[ReplicaState, ...] = ()


def moves(fleet: Fleet, plan: Plan) -> Moves:
    """Return what takes `fleet` to `plan`; nothing where it is there or on its way."""
    drain = _surplus(fleet, plan)
    kept = Fleet(tuple(replica for replica in fleet.replicas if replica not in drain))
    lacking = plan.serving - kept.serving
    wake = _oldest_first(kept.in_state(ReplicaState.STANDBY))[: max(lacking, 0)]
    rest = _victims(kept.in_state(ReplicaState.SERVING))[: max(-lacking, 0)]
    starting = kept.count(ReplicaState.STARTING)  # these will serve before new ones would
    serve = max(lacking - len(wake) - starting, 0)
    start = [ReplicaState.SERVING] * serve + [ReplicaState.STANDBY] * plan.ready
    return Moves(wake, rest, drain, tuple(start[: max(plan.ready - kept.up, 0)]))


def _surplus(fleet: Fleet, plan: Plan) -> tuple[Replica, ...]:
    """Return those beyond the plan: what is not loaded yet first, what serves last."""
    ranked = [one for state in _GIVE_UP_FIRST for one in _victims(fleet.in_state(state))]
    return tuple(ranked[: max(fleet.up - plan.ready, 0)])


def _victims(replicas: tuple[Replica, ...]) -> tuple[Replica, ...]:
    """Rank by who is missed least: the least loaded, then the newest."""
    return tuple(sorted(replicas, key=lambda one: (one.load, -one.since, one.id)))


def _oldest_first(replicas: tuple[Replica, ...]) -> tuple[Replica, ...]:
    return tuple(sorted(replicas, key=lambda one: (one.since, one.id)))
