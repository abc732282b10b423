"""The roster: replicas as last read from the process table, and what this gateway adds to it.

It adds how much it has in flight on each, which ones failed it just now, and since when each
model lacks capacity. It is used from one event loop only.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from inference.gateway.errors import NoReplicaError
from inference.gateway.routing import Shun, choose, is_short, serving, shun
from inference.gateway.shortage import Shortage
from telemetry.clock import Clock
from telemetry.process_table import ReplicaRecord


class Table(Protocol):
    """Where the records of the replicas are read."""

    def records(self) -> Sequence[ReplicaRecord]:
        """Return every replica's record."""
        ...


class Roster:
    """The replicas that the gateway may choose from; a model once seen stays known."""

    def __init__(self, models: Iterable[str], *, clock: Clock, shun_seconds: float) -> None:
        self._clock = clock
        self._shun_seconds = shun_seconds
        self._known_since = dict.fromkeys(models, clock.now())
        self._records: Sequence[ReplicaRecord] = ()
        self._in_flight: Counter[str] = Counter()
        self._shunned: dict[str, Shun] = {}
        self._shortages: defaultdict[str, Shortage] = defaultdict(Shortage)
        self._openings: dict[str, asyncio.Event] = {}
        self._is_closed = False

    @property
    def models(self) -> dict[str, float]:
        """Known models, and since when each is known (seconds since the epoch)."""
        return self._known_since

    def serving(self, model: str) -> int:
        """Count the replicas of a model that say they take traffic."""
        return len(serving(self._records, model))

    def update(self, records: Sequence[ReplicaRecord]) -> list[str]:
        """Take in the table as just read; return the models never seen before."""
        new = sorted({record.model for record in records} - self._known_since.keys())
        self._known_since |= dict.fromkeys(new, self._clock.now())
        self._records = records
        self._note_shortages()
        ids = {record.id for record in records}
        self._shunned = {id_: one for id_, one in self._shunned.items() if id_ in ids}
        self._wake()
        return new

    def was_short(self, model: str, *, since: float, until: float) -> bool:
        """Tell whether the model lacked capacity at a moment in between (monotonic seconds)."""
        return self._shortages[model].overlaps(since, until)

    def choose(self, model: str) -> ReplicaRecord | None:
        """Choose a replica for one request, if any is open to work."""
        return choose(
            self._records,
            model=model,
            in_flight=self._in_flight,
            shunned=self._shunned,
            now=self._clock.monotonic(),
        )

    async def opening(self, model: str) -> ReplicaRecord:
        """Wait until a replica of the model is open to work."""
        while (record := self.choose(model)) is None:
            if self._is_closed:
                raise NoReplicaError("The gateway is shutting down; send the request again.")
            await self._openings.setdefault(model, asyncio.Event()).wait()
        return record

    @contextmanager
    def sending(self, record: ReplicaRecord) -> Iterator[None]:
        """Count one request as in flight on a replica."""
        self._in_flight[record.id] += 1
        try:
            yield
        finally:
            self._in_flight[record.id] -= 1
            if not self._in_flight[record.id]:
                del self._in_flight[record.id]

    def pass_over(self, record: ReplicaRecord) -> None:
        """Choose others for a while: this replica just failed a request."""
        self._shunned[record.id] = shun(
            self._shunned.get(record.id),
            record,
            now=self._clock.monotonic(),
            seconds=self._shun_seconds,
        )

    def restore(self, record: ReplicaRecord) -> None:
        """Forget that the replica ever failed: it answered."""
        self._shunned.pop(record.id, None)

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._is_closed = True
        for opening in self._openings.values():
            opening.set()

    def _note_shortages(self) -> None:
        now = self._clock.monotonic()
        for model in self._known_since:
            self._shortages[model].note(is_short=is_short(self._records, model), now=now)

    def _wake(self) -> None:
        for model in [model for model in self._openings if self.choose(model)]:
            self._openings.pop(model).set()
