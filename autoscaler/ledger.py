"""The ledger: every plan with the numbers that led to it, in one SQLite file."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVar

from autoscaler.observation import Observation
from autoscaler.plan import Plan, Reason, sentence

_Result = TypeVar("_Result")

_SCHEMA = """CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    entry TEXT NOT NULL
)"""
_LAST = "SELECT entry FROM decisions ORDER BY id DESC LIMIT ?"


class LedgerError(Exception):
    """The ledger could not be read or written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One plan as the ledger keeps it."""

    at: float
    model: str
    serving: int
    standby: int
    reason: Reason
    numbers: Mapping[str, float]
    fleet: Mapping[str, int]  # replicas by state, those that some replica was in
    sentence: str

    @classmethod
    def of(cls, plan: Plan, observation: Observation) -> "Entry":
        """Return the entry for a plan and what it was made from."""
        fleet = observation.fleet
        return cls(
            at=plan.at,
            model=plan.model,
            serving=plan.serving,
            standby=plan.standby,
            reason=plan.reason,
            numbers=dict(plan.numbers),
            fleet={state.value: count for state, count in fleet.counts.items() if count},
            sentence=sentence(plan, fleet),
        )

    @classmethod
    def from_json(cls, text: str) -> "Entry":
        """Read what `to_json` wrote; raise LedgerError where it is something else."""
        try:
            fields = json.loads(text)
            return cls(**{**fields, "reason": Reason(fields["reason"])})
        except (ValueError, TypeError, KeyError) as error:
            raise LedgerError(f"expected a decision, got {text[:200]!r}") from error

    def to_json(self) -> str:
        """Return the entry as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))


class Ledger:
    """The newest `keep` entries; a committed one survives the death of the process."""

    def __init__(self, path: Path, *, keep: int = 20_000, busy_seconds: float = 2.0) -> None:
        self._path = path
        self._keep = keep
        self._lock = Lock()
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=busy_seconds, check_same_thread=False, isolation_level=None
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(_SCHEMA)

    def append(self, entry: Entry) -> None:
        """Keep one entry, and forget the oldest beyond the bound (blocking)."""
        self._run(lambda: self._append(entry.to_json()))

    def last(self, count: int) -> list[Entry]:
        """Return the newest `count` entries, oldest first (blocking)."""
        return _parsed(self._run(lambda: self._connection.execute(_LAST, (count,)).fetchall()))

    def close(self) -> None:
        """Release the file; closing twice is fine."""
        with self._lock:
            self._connection.close()

    def _append(self, text: str) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            inserted = self._connection.execute(
                "INSERT INTO decisions (entry) VALUES (?)", (text,)
            )
            oldest = (inserted.lastrowid or 0) - self._keep
            self._connection.execute("DELETE FROM decisions WHERE id <= ?", (oldest,))
        except sqlite3.Error:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _run(self, action: Callable[[], _Result]) -> _Result:
        with self._lock, _translated(self._path):
            return action()


def read_ledger(path: Path, *, last: int) -> list[Entry]:
    """Return the newest entries of a ledger that another process may be writing."""
    if not path.exists():
        raise LedgerError(f"there is no ledger at {path}: no decision has been made yet")
    with _translated(path):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=2.0)
        with closing(connection):
            return _parsed(connection.execute(_LAST, (last,)).fetchall())


def _parsed(rows: list[tuple[str]]) -> list[Entry]:
    return [Entry.from_json(text) for (text,) in reversed(rows)]


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"the ledger {path} cannot be used: {error}") from error
