"""Gathering: rows as they are read become a trace, bins whole and requests counted."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from forecaster.demand.columns import Layout
from forecaster.demand.demand import DemandError, Floats, Mask
from forecaster.demand.place import Place
from forecaster.demand.repair import Findings, Repair, growth
from forecaster.demand.rows import Indices, Rows, joined
from forecaster.demand.tally import Tally
from forecaster.demand.trace import Trace

_UNEVEN = 1e-3  # share of a row's length by which times may be off
_FEW = 0.01  # share of bins that may be out of order

Read = Callable[[Findings], Iterable[Rows]]  # reads from the beginning each time


@dataclass(frozen=True, slots=True)
class Gathering:
    """What becomes of the rows of one source."""

    place: Place
    layout: Layout
    read: Read
    is_counter: bool = False  # the columns are counters, whose growth is the demand

    def trace(self, *, step: float | None) -> Trace:
        """Return the trace; with a step, requests are counted into steps and not kept."""
        if not self.layout.time.is_arrival:
            return self._bins()
        if self.is_counter:
            raise self.place.wrong("its rows are requests, expected readings of a counter")
        if step is None:
            return self._requests()
        if step <= 0:
            raise self.place.wrong(f"expected a step above 0 s, got {step:g} s")
        return self._counted(step)

    def _requests(self) -> Trace:
        findings = Findings(self.place.word)
        seen = _Seen(self.place, findings)
        batches = [rows.chosen for rows in seen.passing(self.read(findings))]
        first, last = seen.bounds
        rows = joined(batches)
        if not rows.at.size:
            raise self._none_chosen()
        rows = rows.at_places(np.argsort(rows.at, kind="stable"))
        return Trace(
            self.place.name,
            rows.at,
            np.ones(rows.at.size, dtype=np.float64),
            None,
            rows.input_tokens,
            rows.output_tokens,
            repairs=self._repairs(findings),
            observed=(first, last),
        )

    def _counted(self, step: float) -> Trace:
        tally, findings, seen = self._tally(step, None)
        first, last = seen.bounds
        if seen.start > first:  # the grid begins at the earliest row, which was not the first one
            tally, findings, seen = self._tally(step, first)
        tally.until(last)
        counted = tally.counted()
        return Trace(
            self.place.name,
            counted.start + step * np.arange(counted.requests.size, dtype=np.float64),
            counted.requests,
            step,
            counted.input_tokens,
            counted.output_tokens,
            repairs=self._repairs(findings),
        )

    def _tally(self, step: float, start: float | None) -> "tuple[Tally, Findings, _Seen]":
        findings = Findings(self.place.word)
        seen = _Seen(self.place, findings)
        tally: Tally | None = None
        chosen = 0
        for rows in seen.passing(self.read(findings)):
            if tally is None:
                tally = Tally(self.place, step, seen.start if start is None else start)
            chosen += rows.at.size if rows.taken is None else int(rows.taken.sum())
            inside = slice(None) if start is not None else rows.at >= seen.start
            tally.add(
                rows.at[inside],
                input_tokens=_part(rows.input_tokens, inside),
                output_tokens=_part(rows.output_tokens, inside),
                taken=None if rows.taken is None else rows.taken[inside],
            )
        if tally is None:
            raise _no_rows(self.place)
        if not chosen:
            raise self._none_chosen()
        return tally, findings, seen

    def _bins(self) -> Trace:
        findings = Findings(self.place.word)
        batches = [rows.chosen for rows in self.read(findings)]
        if not batches:
            raise _no_rows(self.place)
        rows = joined(batches)
        if not rows.at.size:
            raise self._none_chosen()
        rows = self._in_order(rows, findings)
        rows = self._once(rows, findings)
        bin_seconds = self._bin_seconds(rows)
        if self.is_counter:
            rows = self._growth(rows, bin_seconds, findings)
        amounts = rows.amounts
        assert amounts is not None  # noqa: S101 - of bins
        return Trace(
            self.place.name,
            rows.at,
            amounts,
            bin_seconds,
            rows.input_tokens,
            rows.output_tokens,
            self.layout.unit,
            self._repairs(findings),
        )

    def _in_order(self, rows: Rows, findings: Findings) -> Rows:
        late = np.flatnonzero(np.diff(rows.at) < 0) + 1
        if late.size and late.size >= _FEW * rows.at.size:
            line, before = int(rows.lines[late[0]]), int(rows.lines[late[0] - 1])
            raise self.place.error(
                line,
                f"rows in the order of {self.layout.names[self.layout.at]}",
                f"one that is not after {self.place.word} {before}, and {late.size} such of "
                f"{rows.at.size}",
            )
        findings.note(Repair.UNORDERED, rows.lines[late])
        return rows.at_places(np.argsort(rows.at, kind="stable")) if late.size else rows

    def _once(self, rows: Rows, findings: Findings) -> Rows:
        repeats = np.flatnonzero(np.diff(rows.at) == 0) + 1
        for column in (rows.amounts, rows.input_tokens, rows.output_tokens):
            self._refuse_contradictions(rows, column, repeats)
        findings.note(Repair.REPEATED, rows.lines[repeats])
        return rows.at_places(np.delete(np.arange(rows.at.size), repeats))

    def _refuse_contradictions(self, rows: Rows, column: Floats | None, repeats: Indices) -> None:
        if column is None:
            return
        here, before = column[repeats], column[repeats - 1]
        other = (here != before) & ~(np.isnan(here) & np.isnan(before))
        if other.any():
            row = int(repeats[np.argmax(other)])
            raise self.place.error(
                int(rows.lines[row]),
                f"one row for each {self.layout.names[self.layout.at]}",
                f"a second one after {self.place.word} {rows.lines[row - 1]}, of the same time "
                "and with another value; if they are of several models, choose one",
            )

    def _bin_seconds(self, rows: Rows) -> float:
        """Return how long a row is: the shortest distance of two, if it divides all others."""
        known = self.layout.time.bin_seconds
        if (known is None or self.is_counter) and rows.at.size == 1:
            raise self.place.wrong("expected two rows or more, to see how long each of them is")
        steps = np.diff(rows.at)
        bin_seconds = known or float(steps.min())
        uneven = np.abs(steps / bin_seconds - np.round(steps / bin_seconds)) > _UNEVEN
        if uneven.any():
            row = int(np.argmax(uneven))
            raise self.place.error(
                int(rows.lines[row + 1]),
                f"rows at multiples of {bin_seconds:g} s",
                f"one that is {steps[row]:g} s after the row before it",
            )
        return bin_seconds

    def _growth(self, rows: Rows, bin_seconds: float, findings: Findings) -> Rows:
        """Return bins that hold the growth from each reading to the next; over a hole, a gap."""
        is_hole = np.diff(rows.at) > 1.5 * bin_seconds

        def grown(values: Floats | None) -> Floats | None:
            if values is None:
                return None
            risen, resets = growth(values)
            findings.note(Repair.RESET, rows.lines[1:][resets])
            return np.where(is_hole, np.nan, risen)

        return Rows(
            rows.lines[:-1],
            rows.at[:-1],
            grown(rows.amounts),
            grown(rows.input_tokens),
            grown(rows.output_tokens),
        )

    def _repairs(self, findings: Findings) -> tuple[str, ...]:
        remark = (self.layout.remark,) if self.layout.remark else ()
        return (*remark, *findings.sentences)

    def _none_chosen(self) -> DemandError:
        if not self.layout.labels:
            return _no_rows(self.place)
        return self.place.wrong(f"has no row with {self.layout.asked}")


class _Seen:
    """What passes by: where time begins and ends, and rows that come too late."""

    def __init__(self, place: Place, findings: Findings) -> None:
        self._place = place
        self._findings = findings
        self._start: float | None = None
        self._bounds = (np.inf, -np.inf)
        self._before = -np.inf

    @property
    def start(self) -> float:
        """Time of the first row."""
        if self._start is None:
            raise _no_rows(self._place)
        return self._start

    @property
    def bounds(self) -> tuple[float, float]:
        """The earliest time and the latest."""
        if self._start is None:
            raise _no_rows(self._place)
        return float(self._bounds[0]), float(self._bounds[1])

    def passing(self, batches: Iterable[Rows]) -> Iterator[Rows]:
        """Yield the same batches, but for empty ones."""
        for rows in batches:
            if not rows.at.size:
                continue
            if self._start is None:
                self._start = float(rows.at[0])
            late = np.diff(rows.at, prepend=self._before) < 0
            self._findings.note(Repair.UNORDERED, rows.lines[late])
            self._before = float(rows.at[-1])
            low, high = self._bounds
            self._bounds = (min(low, float(rows.at.min())), max(high, float(rows.at.max())))
            yield rows


def _part(values: Floats | None, inside: slice | Mask) -> Floats | None:
    return None if values is None else values[inside]


def _no_rows(place: Place) -> DemandError:
    return place.wrong("expected at least one row after the header, found none")
