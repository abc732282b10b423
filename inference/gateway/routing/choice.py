"""The choice of a replica, with the reason that decided it."""

from dataclasses import dataclass
from enum import StrEnum

from telemetry.process_table import ReplicaRecord


class Reason(StrEnum):
    """Why this replica; the value is the `reason` label."""

    SESSION = "session"  # it holds the conversation
    PREFIX = "prefix"  # it has computed the beginning of the prompt before
    LOAD = "load"  # it has the shortest wait
    SPILL = "spill"  # nearer regions have no room
    TWO_CHOICES = "two_choices"  # loads are unknown: the lesser of two drawn at random
    ONLY = "only"  # no other has room


@dataclass(frozen=True, slots=True)
class Choice:
    """The replica that serves a request, and why."""

    record: ReplicaRecord
    reason: Reason


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a model's replicas offer at this moment."""

    serving: int = 0  # replicas that take traffic and are not passed over
    slots: int = 0  # of those, all their places in batches
    free: int = 0  # of those, places that this gateway has not filled
    is_waking: bool = False  # a replica is starting, standing by or asleep: more may come
