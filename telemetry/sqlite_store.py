"""The embedded metrics store: one SQLite file that survives the death of its writer.

In WAL mode a batch that was committed is in the file whatever happens to the process, and other
processes read while one writes.
"""

import json
import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from threading import Lock

import numpy as np

from telemetry.clock import Clock
from telemetry.resample import Floats, increase_per_step, newest_per_step
from telemetry.retention import Forgetting, Retention
from telemetry.series import Sample, Selector, Series, Window
from telemetry.store import StoreUnavailableError

_VERSION = 1
_SCHEMA = (
    # AUTOINCREMENT: the id of a forgotten series must never come to mean another one.
    """CREATE TABLE IF NOT EXISTS series (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        labels TEXT NOT NULL,
        UNIQUE (name, labels)
    )""",
    """CREATE TABLE IF NOT EXISTS samples (
        series_id INTEGER NOT NULL REFERENCES series (id),
        at REAL NOT NULL,
        value REAL NOT NULL,
        PRIMARY KEY (series_id, at)
    ) WITHOUT ROWID""",
)
_MILLISECOND = 0.001
_MAX_KNOWN_SERIES = 100_000

_Key = tuple[str, frozenset[tuple[str, str]]]
_Resample = Callable[[Floats, Floats, Window], Floats]


class SqliteStore:
    """Series in one SQLite file, for one machine (telemetry.store.Store).

    It may be used from several threads, and from several processes at once. `thin_step`, the
    finest step that history is read with, keeps the file small, and `longer` names metrics that
    are kept for more seconds than the others: see `Retention`.
    """

    def __init__(
        self,
        path: Path,
        *,
        retention_seconds: float,
        clock: Clock,
        full_seconds: float = 3600.0,
        thin_step: float | None = None,
        longer: Mapping[str, float] | None = None,
        busy_seconds: float = 5.0,
    ) -> None:
        self._path = path
        self._clock = clock
        self._forgetting = Forgetting(
            Retention(retention_seconds, full_seconds, thin_step, longer or {})
        )
        self._known: dict[_Key, int] = {}
        # One connection each, so that no reader waits for a commit.
        self._writing, self._reading = Lock(), Lock()
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = _connect(path, busy_seconds)
            self._reader = _connect(path, busy_seconds)

    def write(self, samples: Iterable[Sample]) -> None:
        """Keep the samples, all or none; NaN is no reading and is left out."""
        batch = [sample for sample in samples if not math.isnan(sample.value)]
        for sample in batch:
            if not math.isfinite(sample.at):
                raise ValueError(f"expected a time in seconds, got {sample}")
        with self._writing, self._translated():
            try:
                self._commit(batch)
            except sqlite3.IntegrityError:  # another process forgot a series we knew
                self._commit(batch)

    def latest(self, selector: Selector, *, at: float, within: float) -> list[Sample]:
        """Return the newest sample of each series not older than `within` seconds before `at`."""
        found = []
        with self._snapshot() as connection:
            for series, labels in _matching(connection, selector):
                row = connection.execute(
                    "SELECT at, value FROM samples WHERE series_id = ? "
                    "AND at >= ? AND at <= ? ORDER BY at DESC LIMIT 1",
                    (series, at - within, at),
                ).fetchone()
                if row is not None:
                    found.append(Sample(selector.name, labels, row[0], row[1]))
        return found

    def gauge(self, selector: Selector, window: Window) -> list[Series]:
        """Return each matching series: at each point, the newest value of the step before it."""
        return self._resampled(selector, window, newest_per_step, steps_before=1)

    def increase(self, selector: Selector, window: Window) -> list[Series]:
        """Return how much each matching counter grew in the step before each point.

        A counter that falls was reset and counts from zero. A step without two readings to
        compare is a gap; the first of them may lie up to one step before it.
        """
        return self._resampled(selector, window, increase_per_step, steps_before=2)

    def close(self) -> None:
        """Release the file; closing twice is fine."""
        with self._writing, self._reading:
            self._writer.close()
            self._reader.close()

    def _commit(self, batch: Sequence[Sample]) -> None:
        try:
            with _transaction(self._writer):
                self._writer.executemany(
                    "INSERT OR REPLACE INTO samples (series_id, at, value) VALUES (?, ?, ?)",
                    [(self._series(one), float(one.at), float(one.value)) for one in batch],
                )
                gone = self._forgetting.visit(self._writer, now=self._clock.now())
        except BaseException:
            self._known.clear()  # ids given in a transaction that was undone mean nothing
            raise
        if gone or len(self._known) > _MAX_KNOWN_SERIES:
            self._known.clear()

    def _series(self, sample: Sample) -> int:
        key = (sample.name, frozenset(sample.labels.items()))
        if key not in self._known:
            row = (sample.name, json.dumps(dict(sample.labels), sort_keys=True))
            self._writer.execute(
                "INSERT INTO series (name, labels) VALUES (?, ?) ON CONFLICT DO NOTHING", row
            )
            found = self._writer.execute(
                "SELECT id FROM series WHERE name = ? AND labels = ?", row
            )
            self._known[key] = int(found.fetchone()[0])
        return self._known[key]

    def _resampled(
        self, selector: Selector, window: Window, resample: _Resample, *, steps_before: int
    ) -> list[Series]:
        since = window.start - steps_before * window.step - _MILLISECOND
        found = []
        with self._snapshot() as connection:
            for series, labels in _matching(connection, selector):
                at, values = _readings(connection, series, since, window.end + _MILLISECOND)
                found.append(Series(labels, window, resample(at, values, window)))
        return [one for one in found if one.has_data]

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Read from one moment of the file, whatever is written meanwhile."""
        with self._reading, self._translated(), _transaction(self._reader, "DEFERRED"):
            yield self._reader

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailableError(
                f"metrics store {self._path}: {error}; {_advice(str(error))}"
            ) from error


def _connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -16000")  # KiB: ten minutes of many series
        connection.execute("PRAGMA foreign_keys = ON")
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Bring the file to our schema, or refuse one that is not ours."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == _VERSION:
        return
    if version != 0:
        raise sqlite3.DatabaseError(f"it has schema version {version}, not {_VERSION}")
    connection.execute("PRAGMA journal_mode = WAL")
    with _transaction(connection):
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All or none; IMMEDIATE waits its turn at the start instead of failing half way."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled back already
            connection.execute("ROLLBACK")
        raise


def _matching(
    connection: sqlite3.Connection, selector: Selector
) -> list[tuple[int, dict[str, str]]]:
    rows = connection.execute(
        "SELECT id, labels FROM series WHERE name = ? ORDER BY id", (selector.name,)
    ).fetchall()
    named = [(series, _labels(text)) for series, text in rows]
    return [(series, dict(labels)) for series, labels in named if selector.matches(labels)]


@lru_cache(maxsize=16_384)
def _labels(text: str) -> dict[str, str]:
    labels: dict[str, str] = json.loads(text)
    return labels


def _readings(
    connection: sqlite3.Connection, series: int, since: float, until: float
) -> tuple[Floats, Floats]:
    rows = connection.execute(
        "SELECT at, value FROM samples WHERE series_id = ? AND at > ? AND at <= ? ORDER BY at",
        (series, since, until),
    )
    flat = np.fromiter(chain.from_iterable(rows), np.float64)
    return flat[0::2], flat[1::2]


def _advice(error: str) -> str:
    if "locked" in error or "busy" in error:
        return "another process is holding it; wait for it, or stop it"
    if "not a database" in error or "malformed" in error or "schema version" in error:
        return "move the file aside and a new one is begun, or name another file"
    if "closed" in error:
        return "it was closed in this process"
    return "check that its folder may be written to and that the disk has room"
