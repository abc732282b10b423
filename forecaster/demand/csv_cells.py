"""Cells of a block of CSV lines: numbers at once where all is plain, else line by line."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

from forecaster.demand.csv_blocks import Block
from forecaster.demand.demand import DemandError, Floats, Mask
from forecaster.demand.rows import Checking, Indices, Rows
from forecaster.demand.times import Stamps

_SMALL = 1 << 18  # bytes of a block for which loading pandas would take longer than reading
_LONGEST_STAMP = 40
_NUMBERS = "fiu"  # kinds of NumPy's types
_BEFORE_ZONE = 10  # characters of a date: a sign after them is that of a zone


@dataclass(frozen=True, slots=True)
class CellReader:
    """Reads blocks of one file."""

    checking: Checking
    stamps: Stamps

    def rows(self, block: Block) -> Rows:
        """Return the rows of a block, read in the quicker way that is possible."""
        if len(block.text) < _SMALL:
            return self.careful(block)
        quick = self.quick(block)
        return self.careful(block) if quick is None else quick

    def quick(self, block: Block) -> Rows | None:
        """Return the rows if all cells are what is expected of them, or else None."""
        layout = self.checking.layout
        text = _plain(block.text, len(layout.names))
        if text is None:
            return None
        cells = _parsed(text, layout.at, layout.numbers, [column for column, _ in layout.labels])
        if cells is None:
            return None
        lines = block.line + np.arange(len(cells), dtype=np.int64)
        at = self._at(cells[layout.at], lines)
        if at is None:
            return None
        numbers = {column: cells[column].to_numpy(dtype=np.float64) for column in layout.numbers}
        taken = None
        for column, value in layout.labels:
            is_taken = (cells[column] == value).fillna(value=False).to_numpy(dtype=bool)
            taken = is_taken if taken is None else taken & is_taken
        return self.checking.rows(lines, at, numbers, taken)

    def careful(self, block: Block) -> Rows:
        """Return the rows of a block, or say which line is not what was expected."""
        layout = self.checking.layout
        numbered = list(self._table(block))
        lines = np.array([line for line, _ in numbered], dtype=np.int64)
        at = self.stamps.texts([cells[layout.at] for _, cells in numbered], lines)
        numbers = {
            column: np.array(
                [self._amount(line, column, cells[column]) for line, cells in numbered]
            )
            for column in layout.numbers
        }
        taken = None
        if layout.labels:
            taken = np.array(
                [all(cells[at] == value for at, value in layout.labels) for _, cells in numbered],
                dtype=bool,
            )
        return self.checking.rows(lines, at, numbers, taken)

    def _at(self, column: Any, lines: Indices) -> Floats | None:
        if column.dtype.kind in _NUMBERS:
            return self.stamps.numbers(column.to_numpy(dtype=np.float64), lines)
        moments = _moments(column) if self.checking.layout.time.seconds is None else None
        return None if moments is None else self.stamps.moments(*moments, lines)

    def _table(self, block: Block) -> Iterator[tuple[int, list[str]]]:
        place, width = self.checking.place, len(self.checking.layout.names)
        try:
            table = csv.reader(block.text.decode().splitlines(keepends=True), strict=True)
            for cells in table:
                line = block.line + table.line_num - 1
                if not cells:
                    continue
                if len(cells) != width:
                    raise place.error(
                        line, f"as many cells as the header has columns ({width})", str(len(cells))
                    )
                yield line, cells
        except (UnicodeDecodeError, csv.Error) as error:
            raise DemandError(
                f"{place.path}: expected text with comma-separated values: {error}"
            ) from error

    def _amount(self, line: int, column: int, cell: str) -> float:
        text = cell.strip()
        if not text:
            return np.nan
        try:
            value = float(text)
        except ValueError:
            raise self.checking.not_an_amount(line, column, text) from None
        return value if math.isfinite(value) else np.inf


def _plain(text: bytes, width: int) -> bytes | None:
    """Return the text without quotes if each line has as many cells as the header, else None."""
    has_returns = b"\r" in text  # looked for first, as it is the quickest to see
    if b'""' in text or (has_returns and text.count(b"\r") != text.count(b"\r\n")):
        return None
    if b'"' in text:
        text = text.replace(b'"', b"")
    letters = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    if width == 1:
        return text if b"\n\n" not in text and b"," not in text else None
    commas = np.flatnonzero(letters == ord(","))
    if commas.size != ends.size * (width - 1):
        return None
    by_line = commas.reshape(ends.size, width - 1)
    fits = (by_line[:, -1] < ends).all() and (by_line[1:, 0] > ends[:-1]).all()
    return text if fits else None


def _parsed(text: bytes, time: int, numbers: tuple[int, ...], labels: list[int]) -> Any:
    """Return the columns asked for, or None where a cell is no number and should be one."""
    import pandas as pd  # noqa: PLC0415 - takes most of a second to load

    try:
        cells = pd.read_csv(
            BytesIO(text),
            header=None,
            usecols=[time, *numbers, *labels],
            dtype=dict.fromkeys(labels, str),
            na_values=[""],
            keep_default_na=False,
            skip_blank_lines=False,
            low_memory=False,
        )
    except (ValueError, UnicodeDecodeError, OverflowError):
        return None
    # Left to infer types, as otherwise it would take truths for numbers.
    return cells if all(cells[column].dtype.kind in _NUMBERS for column in numbers) else None


def _moments(column: Any) -> tuple[Floats, Mask] | None:
    """Return written moments as seconds, and which of them have a zone."""
    import pandas as pd  # noqa: PLC0415 - as above

    if column.isna().any():
        return None
    try:
        written = column.to_numpy(dtype=object).astype(f"S{_LONGEST_STAMP}")
        moments = pd.to_datetime(column, format="ISO8601", utc=True).dt.tz_localize(None)
    except (ValueError, TypeError, OverflowError):  # out of bounds and unknown forms among them
        return None
    has_zone = (
        np.strings.endswith(written, b"Z")
        | (np.strings.rfind(written, b"+") > _BEFORE_ZONE)
        | (np.strings.rfind(written, b"-") > _BEFORE_ZONE)
    )
    micros = moments.to_numpy().astype("datetime64[us]").astype(np.int64)
    return micros / 1e6, has_zone
