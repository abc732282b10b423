"""Time columns: from numbers and written moments to seconds, in one way for a whole file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from forecaster.demand.demand import DemandError, Floats, Mask
from forecaster.demand.place import Place


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """A column that says when: in which unit, and how long a row is where its name says so."""

    name: str
    seconds: float | None = None  # that one unit is; None: a written moment or an epoch number
    bin_seconds: float | None = None  # None: to be seen from the rows
    is_arrival: bool = False  # each row is a request

    @property
    def meaning(self) -> str:
        """What a cell is expected to hold."""
        if self.seconds is None:
            return (
                "a time such as 2025-01-31T12:00:00Z, or seconds, milliseconds, microseconds or "
                "nanoseconds since 1970 (seconds since anything else belong in a column start_s "
                "or arrival_s)"
            )
        if self.bin_seconds is None:
            return "a number of seconds"
        return f"a number of {self.name}s" + (" of 10 minutes" if self.name == "window" else "")


# A file may have several of these; the first one here counts.
TIME_COLUMNS = (
    TimeColumn("arrival_s", 1.0, is_arrival=True),
    TimeColumn("arrival", is_arrival=True),
    TimeColumn("start_s", 1.0),
    TimeColumn("timestamp"),
    TimeColumn("time"),
    TimeColumn("ts"),
    TimeColumn("ds"),
    TimeColumn("minute", 60.0, 60.0),
    TimeColumn("window", 600.0, 600.0),
    TimeColumn("hour", 3600.0, 3600.0),
    TimeColumn("day", 86_400.0, 86_400.0),
)

# From 1973 to 2033, within which no number of seconds could be one of milliseconds.
_EARLIEST, _LATEST = 1e8, 2e9
_FARTHEST = 6e10  # seconds from 1970, either way: the years 69 to 3871, which calendars can say
_PER_SECOND = (1.0, 1e3, 1e6, 1e9)
_WITHOUT_ZONE, _WITH_ZONE = 4, 5
_A_NUMBER = -1  # of which unit is still to be seen
_FORMS = (
    "seconds since 1970", "milliseconds since 1970", "microseconds since 1970",
    "nanoseconds since 1970", "a time without a zone", "a time with a zone",
)  # fmt: skip

_Lines = NDArray[np.int64]


class Stamps:
    """Reads a time column; every row must be written as the first one is."""

    def __init__(self, place: Place, column: TimeColumn, written: str) -> None:
        self._place = place
        self._column = column
        self._name = written
        self._form: int | None = None
        self._first_line = 0

    def numbers(self, values: Floats, lines: _Lines) -> Floats:
        """Return the seconds of numbers; NaN is an empty cell, which is an error."""
        if self._column.seconds is not None:
            at = values * self._column.seconds
            self._refuse(~(np.abs(at) < _FARTHEST), values, lines)
            return at
        forms = _epoch_forms(values)
        self._refuse(forms < 0, values, lines)
        self._agree(forms, lines)
        seconds: Floats = values / np.array(_PER_SECOND)[forms]
        return seconds

    def texts(self, cells: Sequence[str], lines: _Lines) -> Floats:
        """Return the seconds of cells as they are written."""
        if self._column.seconds is not None:
            found = [
                self._number(cell, int(line)) for cell, line in zip(cells, lines, strict=True)
            ]
            return self.numbers(np.array(found, dtype=np.float64), lines)
        read = [self._moment(cell, int(line)) for cell, line in zip(cells, lines, strict=True)]
        forms = np.array([form for form, _ in read], dtype=np.int64)
        seconds = np.array([value for _, value in read], dtype=np.float64)
        is_number = forms == _A_NUMBER
        if is_number.any():
            epochs = _epoch_forms(seconds[is_number])
            self._refuse(epochs < 0, seconds[is_number], lines[is_number])
            forms[is_number] = epochs
            seconds[is_number] /= np.array(_PER_SECOND)[epochs]
        self._agree(forms, lines)
        return seconds

    def moments(self, seconds: Floats, has_zone: Mask, lines: _Lines) -> Floats:
        """Return the seconds of moments that were read already; NaN is an empty cell."""
        self._refuse(~(np.abs(seconds) < _FARTHEST), seconds, lines)
        self._agree(np.where(has_zone, _WITH_ZONE, _WITHOUT_ZONE), lines)
        return seconds

    def _number(self, cell: str, line: int) -> float:
        try:
            return float(cell)
        except ValueError:
            raise self._error(cell, line) from None

    def _moment(self, cell: str, line: int) -> tuple[int, float]:
        try:
            return _A_NUMBER, float(cell)
        except ValueError:
            return self._written(cell, line)

    def _written(self, cell: str, line: int) -> tuple[int, float]:
        try:
            at = datetime.fromisoformat(cell.strip())
            form = _WITHOUT_ZONE if at.tzinfo is None else _WITH_ZONE
            seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            raise self._error(cell, line) from None
        if abs(seconds) >= _FARTHEST:
            raise self._error(cell, line)
        return form, seconds

    def _agree(self, forms: NDArray[np.int64], lines: _Lines) -> None:
        if not forms.size:
            return
        if self._form is None:
            self._form, self._first_line = int(forms[0]), int(lines[0])
        other = forms != self._form
        if other.any():
            row = int(np.argmax(other))
            raise self._place.error(
                int(lines[row]),
                f"{_FORMS[self._form]} in {self._name}, as in {self._place.word} "
                f"{self._first_line}",
                f"{_FORMS[forms[row]]}; one file has one way to write times",
            )

    def _refuse(self, wrong: Mask, values: Floats, lines: _Lines) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            cell = "" if np.isnan(values[row]) else f"{values[row]:.17g}"
            raise self._error(cell, int(lines[row]))

    def _error(self, cell: str, line: int) -> DemandError:
        return self._place.error(line, f"{self._column.meaning} in {self._name}", repr(cell))


def _epoch_forms(values: Floats) -> NDArray[np.int64]:
    forms = np.full(values.shape, -1, dtype=np.int64)
    for form, per_second in enumerate(_PER_SECOND):
        forms[(values >= _EARLIEST * per_second) & (values < _LATEST * per_second)] = form
    return forms
