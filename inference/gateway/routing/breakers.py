"""The circuit breakers of all replicas, each bound to one life of its replica."""

from collections.abc import Callable, Iterable

from inference.gateway.routing import breaker
from inference.gateway.routing.breaker import Breaker, BreakerSettings, BreakerState
from telemetry.process_table import ReplicaRecord

_Life = tuple[int, float, float]
_OnMove = Callable[[ReplicaRecord, BreakerState], None]


class Breakers:
    """Those with something to remember; a replica that was restarted or moved starts afresh."""

    def __init__(self, settings: BreakerSettings, on_move: _OnMove) -> None:
        self._settings = settings
        self._on_move = on_move
        self._lives: dict[str, _Life] = {}
        self._breakers: dict[str, Breaker] = {}

    def keep(self, records: Iterable[ReplicaRecord]) -> None:
        """Forget every replica that is not as it was in these records."""
        lives = {record.id: _life(record) for record in records}
        self._breakers = {
            replica: one
            for replica, one in self._breakers.items()
            if lives.get(replica) == self._lives[replica]
        }
        self._lives = lives

    def passed_over(self, now: float) -> frozenset[str]:
        """Return the replicas that take no request now."""
        if not self._breakers:
            return frozenset()
        return frozenset(id_ for id_, one in self._breakers.items() if not one.lets(now))

    def is_open(self, replica: str) -> bool:
        """Tell whether a replica's failures are not yet made good by an answer."""
        one = self._breakers.get(replica)
        return one is not None and one.state is not BreakerState.CLOSED

    def refused(self, record: ReplicaRecord, now: float) -> None:
        """Take note that a replica did not take a request."""
        if self._knows(record):
            before = self._breakers.get(record.id, Breaker())
            self._put(record, before, breaker.refused(before, now=now, settings=self._settings))

    def lost(self, record: ReplicaRecord, now: float) -> None:
        """Take note that a request failed after the replica may have begun."""
        if self._knows(record):
            before = self._breakers.get(record.id, Breaker())
            self._put(record, before, breaker.lost(before, now=now, settings=self._settings))

    def answered(self, record: ReplicaRecord, now: float) -> bool:
        """Take note of an answer; tell whether that has closed the breaker."""
        before = self._breakers.get(record.id)
        if before is None or not self._knows(record):
            return False
        after = breaker.answered(before, now=now, settings=self._settings)
        self._put(record, before, after)
        if after.is_over(now, self._settings):
            del self._breakers[record.id]
        return before.state is not after.state

    def probed(self, record: ReplicaRecord, now: float) -> bool:
        """Take note of a request being sent; tell whether it is a probe."""
        before = self._breakers.get(record.id)
        if before is None or before.state is BreakerState.CLOSED or not self._knows(record):
            return False
        self._put(record, before, breaker.probed(before, now=now, settings=self._settings))
        return True

    def released(self, record: ReplicaRecord, now: float) -> None:
        """Take note that a probe is over, with or without a verdict."""
        before = self._breakers.get(record.id)
        if before is not None and self._knows(record):
            self._breakers[record.id] = breaker.released(before, now=now)

    def _knows(self, record: ReplicaRecord) -> bool:
        return self._lives.get(record.id) == _life(record)

    def _put(self, record: ReplicaRecord, before: Breaker, after: Breaker) -> None:
        self._breakers[record.id] = after
        if after.state is not before.state:
            self._on_move(record, after.state)


def _life(record: ReplicaRecord) -> _Life:
    return record.pid, record.pid_started, record.since
