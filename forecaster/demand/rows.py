"""Rows of a file or log on their way into a trace: checked values, and where they stood."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecaster.demand.columns import Layout
from forecaster.demand.demand import DemandError, Floats, Mask
from forecaster.demand.place import Place
from forecaster.demand.repair import Findings, Repair

Indices = NDArray[np.int64]

_MOST = 1e18  # of anything in one row: more is no amount, and its squares would be infinite


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows in the order of the file; NaN marks what is missing."""

    lines: Indices
    at: Floats  # seconds
    amounts: Floats | None = None  # None where each row is a request
    input_tokens: Floats | None = None
    output_tokens: Floats | None = None
    taken: Mask | None = None  # rows with the asked labels; the others only show that time went on

    @property
    def chosen(self) -> "Rows":
        """The rows with the asked labels alone."""
        return self if self.taken is None else self.at_places(np.flatnonzero(self.taken))

    def at_places(self, places: Indices) -> "Rows":
        """Return the rows at these places, in this order."""
        return Rows(
            self.lines[places],
            self.at[places],
            _at(self.amounts, places),
            _at(self.input_tokens, places),
            _at(self.output_tokens, places),
        )


def joined(batches: list[Rows]) -> Rows:
    """Return all rows as one batch; there is at least one batch."""
    return Rows(
        np.concatenate([one.lines for one in batches]),
        np.concatenate([one.at for one in batches]),
        _joined([one.amounts for one in batches]),
        _joined([one.input_tokens for one in batches]),
        _joined([one.output_tokens for one in batches]),
    )


@dataclass(frozen=True, slots=True)
class Checking:
    """Holds what was read against what numbers may be."""

    place: Place
    layout: Layout
    findings: Findings

    def rows(
        self, lines: Indices, at: Floats, numbers: Mapping[int, Floats], taken: Mask | None
    ) -> Rows:
        """Return rows of the columns read; infinity stands for a cell without a finite number."""
        layout = self.layout
        gone = None if layout.missing is None else numbers[layout.missing] == 1.0

        def amounts(column: int | None) -> Floats | None:
            if column is None:
                return None
            values = self._amounts(numbers[column], column, lines, taken)
            return values if gone is None else np.where(gone, np.nan, values)

        return Rows(
            lines,
            at,
            amounts(layout.amount),
            amounts(layout.input_tokens),
            amounts(layout.output_tokens),
            taken,
        )

    def _amounts(self, values: Floats, column: int, lines: Indices, taken: Mask | None) -> Floats:
        infinite = np.isinf(values)
        if infinite.any():
            used = infinite if taken is None else infinite & taken
            self.findings.note(Repair.NOT_FINITE, lines[used])
            values = np.where(infinite, np.nan, values)
        negative = values < 0
        if negative.any():
            row = int(np.argmax(negative))
            raise self.not_an_amount(int(lines[row]), column, f"{values[row]:g}")
        beyond = values > _MOST
        if beyond.any():
            row = int(np.argmax(beyond))
            expected = f"a number of at most {_MOST:g} in {self.layout.names[column]}"
            raise self.place.error(int(lines[row]), expected, f"'{values[row]:g}'")
        return values

    def not_an_amount(self, line: int, column: int, found: str) -> DemandError:
        """Return the error of a cell that is no amount."""
        expected = (
            f"a number of at least 0 in {self.layout.names[column]}, or an empty cell where it "
            "is missing"
        )
        return self.place.error(line, expected, repr(found))


def _at(values: Floats | None, places: Indices) -> Floats | None:
    return None if values is None else values[places]


def _joined(parts: list[Floats | None]) -> Floats | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known else None
