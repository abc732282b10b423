"""Objectives: how soon each class of requests should be answered, and whether one was."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Outcome, Timeline

# Neither met nor missed: nothing was wrong with the tier.
_NOT_OURS = frozenset({Outcome.REJECTED, Outcome.RATE_LIMITED, Outcome.DISCONNECTED})


class Target(StrEnum):
    """What is promised; the value is the `objective` label."""

    TTFT = "ttft"
    TPOT = "tpot"


@dataclass(frozen=True, slots=True)
class Objective:
    """What one class of requests is promised, in seconds."""

    ttft_seconds: float = 1.0
    tpot_seconds: float = 0.1

    def __post_init__(self) -> None:
        for name in ("ttft_seconds", "tpot_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"objective {name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Objectives:
    """The objective of each class: somebody looks, a program waits, or nobody watches."""

    interactive: Objective = Objective()
    standard: Objective = Objective(ttft_seconds=4.0, tpot_seconds=0.2)
    batch: Objective = Objective(ttft_seconds=60.0, tpot_seconds=1.0)

    def of(self, priority: Priority) -> Objective:
        """Return the objective of one class."""
        if priority is Priority.INTERACTIVE:
            return self.interactive
        return self.standard if priority is Priority.STANDARD else self.batch


def judge(
    timeline: Timeline, outcome: Outcome, objective: Objective
) -> Iterator[tuple[Target, bool]]:
    """Yield whether a finished request met each target that can be told of it.

    One that failed for our reasons missed them all, however it began. One that the client left,
    or should not have sent, is no evidence.
    """
    if outcome in _NOT_OURS:
        return
    for target, seconds, limit in (
        (Target.TTFT, timeline.time_to_first_token, objective.ttft_seconds),
        (Target.TPOT, timeline.time_per_output_token, objective.tpot_seconds),
    ):
        if outcome is not Outcome.ANSWERED:
            yield target, False
        elif seconds is not None:
            yield target, seconds <= limit
