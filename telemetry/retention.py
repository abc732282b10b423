"""What the embedded store forgets: old samples, and what lies between the steps of older ones.

A little of it happens with each write, so that no write is ever slow.
"""

import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

_SERIES_PER_VISIT = 20
_ROWS_PER_SERIES = 500


@dataclass(frozen=True, slots=True)
class Retention:
    """How long samples are kept, and how long all of them.

    With a `thin_step`, only the last sample of every such step is kept once it is older than
    `full_seconds`. Series on a grid of that step (or a multiple) read the same as before,
    except that a counter's reset then hides what it gained since the sample before.
    Metrics named in `longer` are kept for as many seconds, if that is more.
    """

    seconds: float
    full_seconds: float = 3600.0
    thin_step: float | None = None
    longer: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        step = self.seconds if self.thin_step is None else self.thin_step
        if not (self.seconds > 0 and self.full_seconds >= 0 and step > 0):
            raise ValueError(f"expected times above zero, got {self}")

    def seconds_of(self, name: str) -> float:
        """Return how long samples of this metric are kept."""
        return max(self.seconds, self.longer.get(name, 0.0))


class Forgetting:
    """One connection's progress through the series, a few at each visit."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._last_visited = 0
        self._thinned_until: dict[int, float] = {}

    def visit(self, connection: sqlite3.Connection, *, now: float) -> list[int]:
        """Forget what is due in the next few series; return the series that are gone."""
        found = connection.execute(
            "SELECT id, name FROM series WHERE id > ? ORDER BY id LIMIT ?",
            (self._last_visited, _SERIES_PER_VISIT),
        ).fetchall()
        self._last_visited = found[-1][0] if len(found) == _SERIES_PER_VISIT else 0
        return [series for series, name in found if self._forget(connection, series, name, now)]

    def _forget(self, connection: sqlite3.Connection, series: int, name: str, now: float) -> bool:
        self._expire(connection, series, now - self._retention.seconds_of(name))
        if self._retention.thin_step is not None:
            until = now - self._retention.full_seconds
            self._thin(connection, series, until, self._retention.thin_step)
        gone = connection.execute(
            "DELETE FROM series WHERE id = ? "
            "AND NOT EXISTS (SELECT 1 FROM samples WHERE series_id = series.id)",
            (series,),
        ).rowcount
        if gone:
            self._thinned_until.pop(series, None)
        return bool(gone)

    @staticmethod
    def _expire(connection: sqlite3.Connection, series: int, before: float) -> None:
        bounded = _bounded(connection, series, after=-math.inf, until=before)
        connection.execute("DELETE FROM samples WHERE series_id = ? AND at < ?", (series, bounded))

    def _thin(
        self, connection: sqlite3.Connection, series: int, until: float, step: float
    ) -> None:
        after = self._thinned_until.get(series, -math.inf)
        bounded = _bounded(connection, series, after=after, until=until)
        edge = math.floor(bounded / step) * step
        if bounded < until:
            edge += step  # a step with more rows than one visit takes is still finished
        edge = min(edge, math.floor(until / step) * step)
        if edge <= after:
            return
        connection.execute(_THIN, {"id": series, "after": after, "edge": edge, "step": step})
        self._thinned_until[series] = edge


# Steps are open to the left, as everywhere: a sample at 60.0 is the last of (0, 60].
_THIN = """
DELETE FROM samples
WHERE series_id = :id AND at > :after AND at <= :edge AND at NOT IN (
    SELECT max(at) FROM samples WHERE series_id = :id AND at > :after AND at <= :edge
    GROUP BY CAST(at / :step AS INTEGER) + (at / :step > CAST(at / :step AS INTEGER))
)
"""


def _bounded(connection: sqlite3.Connection, series: int, *, after: float, until: float) -> float:
    """Return `until`, or an earlier time where more rows than one visit takes lie before it."""
    row = connection.execute(
        "SELECT at FROM samples WHERE series_id = ? AND at > ? AND at < ? "
        "ORDER BY at LIMIT 1 OFFSET ?",
        (series, after, until, _ROWS_PER_SERIES),
    ).fetchone()
    return float(row[0]) if row else until
