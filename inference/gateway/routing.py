"""Choosing a replica: least work in flight for its size, passing over what just failed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ReplicaRecord

LONGEST_SHUN_SECONDS = 16.0


@dataclass(frozen=True, slots=True)
class Shun:
    """A replica that failed a request, passed over until a moment.

    It is bound to the record that failed: a replica that has changed state since is a fresh start.
    """

    since: float
    until: float
    streak: int

    def covers(self, record: ReplicaRecord, *, now: float) -> bool:
        """Tell whether the replica is still to be passed over."""
        return record.since == self.since and now < self.until


def shun(before: Shun | None, record: ReplicaRecord, *, now: float, seconds: float) -> Shun:
    """Pass over a replica that failed, twice as long each time it fails again.

    Requests in flight fail together: failures within one pass-over count once.
    """
    if before is None or before.since != record.since:
        return Shun(record.since, now + seconds, 1)
    if now < before.until:
        return before
    wait = min(seconds * 2**before.streak, LONGEST_SHUN_SECONDS)
    return Shun(record.since, now + wait, before.streak + 1)


def serving(records: Iterable[ReplicaRecord], model: str) -> list[ReplicaRecord]:
    """Return the replicas of a model that say they take traffic."""
    return [
        record
        for record in records
        if record.model == model and record.state is ReplicaState.SERVING
    ]


def is_short(records: Iterable[ReplicaRecord], model: str) -> bool:
    """Tell whether a model lacks capacity: a replica is starting, or none serves."""
    states = {record.state for record in records if record.model == model}
    return ReplicaState.STARTING in states or ReplicaState.SERVING not in states


def choose(
    records: Iterable[ReplicaRecord],
    *,
    model: str,
    in_flight: Mapping[str, int],
    shunned: Mapping[str, Shun],
    now: float,
) -> ReplicaRecord | None:
    """Choose the serving replica with the least in flight per slot; ties go by id."""

    def load(record: ReplicaRecord) -> tuple[float, str]:
        return in_flight.get(record.id, 0) / max(record.slots, 1), record.id

    def is_shunned(record: ReplicaRecord) -> bool:
        return record.id in shunned and shunned[record.id].covers(record, now=now)

    open_to_work = (record for record in serving(records, model) if not is_shunned(record))
    return min(open_to_work, key=load, default=None)
