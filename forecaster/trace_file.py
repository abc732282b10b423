"""Reading traces: CSV or CSV.gz, checked row by row, with errors that name the line."""

import csv
import gzip
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from forecaster.trace import Floats, Trace, TraceError

_EXPECTED = (
    "expected a column arrival_s (one row per request), or requests beside one of start_s, "
    "timestamp, minute or window (one row per bin)"
)

_UNEVEN = 1e-3  # share of a row's length by which times may be off


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _moment(text: str) -> float:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True)
class _TimeColumn:
    name: str
    read: Callable[[str], float]
    meaning: str
    bin_seconds: float | None = None  # None: to be seen from the rows


_ARRIVAL = _TimeColumn("arrival_s", _number, "a number of seconds")
# A file may have several of these; the first one here counts.
_BINS = (
    _TimeColumn("start_s", _number, "a number of seconds"),
    _TimeColumn("timestamp", _moment, "a time such as 2025-01-31 12:00:00"),
    _TimeColumn("minute", lambda text: 60.0 * _number(text), "a number of minutes", 60.0),
    _TimeColumn(
        "window", lambda text: 600.0 * _number(text), "a count of 10-minute windows", 600.0
    ),
)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    at: float
    requests: float
    input_tokens: float
    output_tokens: float


def read_trace(path: Path) -> Trace:
    """Read a recorded trace; an empty cell is a missing value."""
    try:
        with _open(path) as lines:
            table = csv.DictReader(lines)
            columns = tuple(table.fieldnames or ())
            time = _time_column(path, columns)
            rows = list(_rows(path, table, time))
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (EOFError, zlib.error) as error:
        raise TraceError(f"{path}: the compressed file is damaged or cut off: {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: expected text with comma-separated values: {error}") from error
    return _trace(path, columns, time, rows)


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _time_column(path: Path, columns: tuple[str, ...]) -> _TimeColumn:
    if _ARRIVAL.name in columns:
        return _ARRIVAL
    if "requests" in columns:
        for column in _BINS:
            if column.name in columns:
                return column
    found = ", ".join(columns) if columns else "an empty file"
    raise TraceError(f"{path}:1: {_EXPECTED}; found {found}")


def _rows(path: Path, table: "csv.DictReader[str]", time: _TimeColumn) -> Iterator[_Row]:
    before: _Row | None = None
    for cells in table:
        line = _Line(path, table.line_num, cells)
        row = line.row(time)
        _check_order(path, before, row, time)
        yield row
        before = row


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the file, before it is believed."""

    path: Path
    number: int
    cells: Mapping[str | None, Any]

    def row(self, time: _TimeColumn) -> _Row:
        if None in self.cells or None in self.cells.values():
            raise self.error("as many cells as the header has columns", "another number")
        return _Row(
            self.number,
            self.moment(time),
            requests=1.0 if time is _ARRIVAL else self.requests(),
            input_tokens=self.amount("input_tokens"),
            output_tokens=self.amount("output_tokens"),
        )

    def moment(self, time: _TimeColumn) -> float:
        try:
            return time.read(self.cells[time.name])
        except ValueError:
            expected = f"{time.meaning} in {time.name}"
            raise self.error(expected, repr(self.cells[time.name])) from None

    def requests(self) -> float:
        counted = self.amount("requests")
        return math.nan if self.amount("missing") == 1.0 else counted

    def amount(self, column: str) -> float:
        text = self.cells.get(column, "").strip()
        if not text:
            return math.nan
        expected = f"a number of at least 0 in {column}, or an empty cell where it is missing"
        try:
            value = _number(text)
        except ValueError:
            raise self.error(expected, repr(text)) from None
        if value < 0:
            raise self.error(expected, repr(text))
        return value

    def error(self, expected: str, found: str) -> TraceError:
        return TraceError(f"{self.path}:{self.number}: expected {expected}, got {found}")


def _check_order(path: Path, before: _Row | None, row: _Row, time: _TimeColumn) -> None:
    if before is None:
        return
    if row.at < before.at or (row.at == before.at and time is not _ARRIVAL):
        raise TraceError(
            f"{path}:{row.line}: expected rows in the order of {time.name}, but this one is not "
            f"after line {before.line}"
        )


def _trace(path: Path, columns: tuple[str, ...], time: _TimeColumn, rows: list[_Row]) -> Trace:
    if not rows:
        raise TraceError(f"{path}: expected at least one row after the header, found none")
    at = np.array([row.at for row in rows])
    tokens = {
        name: np.array([getattr(row, name) for row in rows])
        for name in ("input_tokens", "output_tokens")
        if name in columns
    }
    return Trace(
        path.name,
        at,
        np.array([row.requests for row in rows]),
        None if time is _ARRIVAL else _bin_seconds(path, rows, at, time),
        tokens.get("input_tokens"),
        tokens.get("output_tokens"),
    )


def _bin_seconds(path: Path, rows: list[_Row], at: Floats, time: _TimeColumn) -> float:
    """Return how long a row is: the shortest distance of two, if it divides all others."""
    if time.bin_seconds is None and len(rows) == 1:
        raise TraceError(f"{path}: expected two rows or more, to see how long each of them is")
    steps = np.diff(at)
    bin_seconds = time.bin_seconds or float(steps.min())
    uneven = np.abs(steps / bin_seconds - np.round(steps / bin_seconds)) > _UNEVEN
    if uneven.any():
        line = rows[int(np.argmax(uneven)) + 1].line
        raise TraceError(
            f"{path}:{line}: expected rows at multiples of {bin_seconds:g} s, but this one is "
            f"{steps[np.argmax(uneven)]:g} s after the row before it"
        )
    return bin_seconds
