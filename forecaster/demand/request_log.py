"""Reading request logs: JSON lines, one object per request, counted whatever became of it."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from forecaster.demand.columns import ALSO_CALLED, Layout
from forecaster.demand.csv_blocks import reading
from forecaster.demand.demand import DemandError
from forecaster.demand.gathering import Gathering
from forecaster.demand.place import Place
from forecaster.demand.repair import Findings
from forecaster.demand.rows import Checking, Rows
from forecaster.demand.times import Stamps, TimeColumn
from forecaster.demand.trace import Trace
from forecaster.demand.trace_file import NO_LABELS

_BATCH_LINES = 1 << 15
_LONGEST_LINE = 1 << 24
# What a log may call them; the first one that an entry has counts.
_TIMES = ("arrival_s", "time", "timestamp", "ts")
_INPUT = ("input_tokens", "prompt_tokens", "gen_ai.usage.input_tokens")
_OUTPUT = ("output_tokens", "completion_tokens", "gen_ai.usage.output_tokens")
_AT, _IN, _OUT = range(3)
_ARRIVAL_S = TimeColumn("arrival_s", 1.0, is_arrival=True)


def read_request_log(
    path: Path, *, step: float | None = None, labels: Mapping[str, str] = NO_LABELS
) -> Trace:
    """Read a log of requests, all or those whose entries have these labels.

    Requests that were turned away or failed are demand too. With a step, requests are counted
    as they are read and none is kept.
    """
    place = Place(str(path))
    time = _time_of_first(place, path)
    column = _ARRIVAL_S if time == _ARRIVAL_S.name else TimeColumn(time, is_arrival=True)
    layout = Layout(
        (time, "input_tokens", "output_tokens", *labels),
        column,
        at=_AT,
        input_tokens=_IN,
        output_tokens=_OUT,
        labels=tuple((3 + at, value) for at, value in enumerate(labels.values())),
    )

    def read(findings: Findings) -> Iterator[Rows]:
        checking = Checking(place, layout, findings)
        reader = _LogReader(checking, Stamps(place, column, time), time, labels)
        return reader.all_rows(path)

    return _without_unknown(Gathering(place, layout, read).trace(step=step))


@dataclass(frozen=True, slots=True)
class _Entry:
    line: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _LogReader:
    checking: Checking
    stamps: Stamps
    time: str
    labels: Mapping[str, str]

    def all_rows(self, path: Path) -> Iterator[Rows]:
        entries = _entries(self.checking.place, path)
        while batch := list(islice(entries, _BATCH_LINES)):
            yield self._rows(batch)

    def _rows(self, entries: Sequence[_Entry]) -> Rows:
        lines = np.array([entry.line for entry in entries], dtype=np.int64)
        at = self.stamps.texts([self._moment(entry) for entry in entries], lines)
        numbers = {
            _IN: np.array([self._amount(entry, _IN, _INPUT) for entry in entries]),
            _OUT: np.array([self._amount(entry, _OUT, _OUTPUT) for entry in entries]),
        }
        taken = None
        if self.labels:
            taken = np.array([self._is_taken(entry) for entry in entries], dtype=bool)
        return self.checking.rows(lines, at, numbers, taken)

    def _moment(self, entry: _Entry) -> str:
        value = entry.fields.get(self.time)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self.checking.place.error(
                entry.line, f"a time in {self.time}, as in the first entry", repr(value)
            )
        return str(value)

    def _amount(self, entry: _Entry, column: int, names: Sequence[str]) -> float:
        value = _first(entry.fields, names)
        if value is None:
            value = _first(entry.fields.get("usage"), names)
        if value is None:
            return np.nan
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.checking.not_an_amount(entry.line, column, str(value))
        try:
            return float(value) if math.isfinite(value) else np.inf
        except OverflowError:  # a whole number that is beyond any other
            return np.inf

    def _is_taken(self, entry: _Entry) -> bool:
        return all(
            str(_first(entry.fields, (name, ALSO_CALLED.get(name, name)))) == value
            for name, value in self.labels.items()
        )


def _entries(place: Place, path: Path) -> Iterator[_Entry]:
    with reading(path) as lines:
        number = 0
        while text := lines.readline(_LONGEST_LINE):
            number += 1
            if text.strip():
                yield _Entry(number, _fields(place, number, text))


def _fields(place: Place, number: int, text: bytes) -> Mapping[str, Any]:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise place.error(number, "one JSON object", f"what is none: {error}") from error
    if not isinstance(entry, dict):
        raise place.error(number, "one JSON object", type(entry).__name__)
    if "event" in entry and "level" in entry and _first(entry, (*_INPUT, *_OUTPUT)) is None:
        raise place.error(
            number,
            "an entry for each request, with its tokens",
            f"the event {entry['event']!r}, of which it is not known whether it is a request",
        )
    return entry


def _time_of_first(place: Place, path: Path) -> str:
    entry = next(_entries(place, path), None)
    if entry is None:
        raise DemandError(f"{path}: expected at least one entry, found none")
    for name in _TIMES:
        if name in entry.fields:
            return name
    found = ", ".join(entry.fields) or "nothing"
    raise place.error(
        entry.line, f"one of {', '.join(_TIMES)} to tell when a request arrived", found
    )


def _first(fields: Any, names: Sequence[str]) -> Any:
    if not isinstance(fields, dict):
        return None
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _without_unknown(trace: Trace) -> Trace:
    """Leave out tokens of which the log says nothing at all."""

    def known(tokens: Any) -> Any:
        return tokens if tokens is not None and (tokens > 0).any() else None

    return replace(
        trace,
        input_tokens=known(trace.input_tokens),
        output_tokens=known(trace.output_tokens),
    )
