"""The fleet: the serving replicas of each model, as successive readings of the table show them."""

from collections.abc import Callable, Container, Iterable, Sequence
from itertools import count

from inference.gateway.routing.candidate import Candidate
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ReplicaRecord

_STARTING = frozenset({ReplicaState.STARTING})
_WAKING = _STARTING | {ReplicaState.STANDBY, ReplicaState.ASLEEP}
_Key = tuple[str, str]  # model, replica


def models_of(record: ReplicaRecord) -> tuple[str, ...]:
    """Return every name under which a replica serves."""
    return record.models or (record.model,)


class Fleet:
    """Candidates by model; what is in flight on a process is kept while it lives."""

    def __init__(self, distance: Callable[[str], float], *, patience_seconds: float) -> None:
        """`patience_seconds` is how long a replica's load may be unknown before it is stale."""
        self._distance = distance
        self._patience_seconds = patience_seconds
        self._holders = count()
        self._candidates: dict[_Key, Candidate] = {}
        self._serving: dict[str, list[Candidate]] = {}
        self._records: Sequence[ReplicaRecord] = ()
        self._starting: frozenset[str] = frozenset()
        self._waking: frozenset[str] = frozenset()

    def update(self, records: Sequence[ReplicaRecord], *, now: float) -> bool:
        """Take in a reading of the table; tell whether it differs from the one before."""
        if records == self._records:
            return False
        self._records = records
        self._starting = _models(records, _STARTING)
        self._waking = _models(records, _WAKING)
        self._serving = {}
        kept: dict[_Key, Candidate] = {}
        for record in sorted(records, key=lambda record: record.id):
            if record.state is ReplicaState.SERVING:
                for model in models_of(record):
                    one = kept[model, record.id] = self._of(model, record, now)
                    self._serving.setdefault(model, []).append(one)
        for key, one in self._candidates.items():
            if one.in_flight and key not in kept:
                kept[key] = one
        self._candidates = kept
        return True

    def serving(self, model: str) -> Sequence[Candidate]:
        """Return the replicas of a model that take traffic, by id."""
        return self._serving.get(model, ())

    def find(self, model: str, record: ReplicaRecord) -> Candidate | None:
        """Return what is known of the process that a record is of."""
        one = self._candidates.get((model, record.id))
        return one if one is not None and _is_same_process(one.record, record) else None

    def each(self) -> Iterable[Candidate]:
        """Return every serving replica once, under the first of its names."""
        for model, ones in self._serving.items():
            for one in ones:
                if model == models_of(one.record)[0]:
                    yield one

    def is_waking(self, model: str) -> bool:
        """Tell whether a replica of the model may serve soon."""
        return model in self._waking

    def is_short(self, model: str) -> bool:
        """Tell whether a model lacks capacity: a replica is starting, or none serves."""
        return model in self._starting or model not in self._serving

    def _of(self, model: str, record: ReplicaRecord, now: float) -> Candidate:
        holder, fresh_until = next(self._holders), now + self._patience_seconds
        distance = self._distance(record.region)
        one = self.find(model, record)
        if one is None:
            return Candidate(record, distance, holder, fresh_until)
        if one.record != record:
            one.renew(record, distance, holder=holder, fresh_until=fresh_until)
        return one


def _is_same_process(one: ReplicaRecord, other: ReplicaRecord) -> bool:
    return one.pid == other.pid and one.pid_started == other.pid_started


def _models(records: Iterable[ReplicaRecord], states: Container[ReplicaState]) -> frozenset[str]:
    """Return the models of the replicas that are in one of some states."""
    return frozenset(
        model for record in records if record.state in states for model in models_of(record)
    )
