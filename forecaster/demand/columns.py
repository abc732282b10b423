"""Columns: which one of a table holds the time, the demand, the tokens and the labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forecaster.demand.demand import REQUESTS, TOKENS, DemandError
from forecaster.demand.place import Place
from forecaster.demand.times import TIME_COLUMNS, TimeColumn

_EXPECTED = (
    "expected a column arrival_s or arrival (one row per request), or a column with the demand "
    "beside one of start_s, timestamp, time, ts, ds, minute, window, hour or day (one row per bin)"
)
_TOKENS = ("input_tokens", "output_tokens", "total_tokens")
_ASIDE = {"missing", "token_known_share", "any_request"}
_MOST_NAMED = 20
ALSO_CALLED = {"priority": "class"}  # labels, as files often name them


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in a table to look, by the number of the column."""

    names: tuple[str, ...]  # of all columns, as they are written
    time: TimeColumn
    at: int
    amount: int | None = None  # None where each row is a request
    input_tokens: int | None = None
    output_tokens: int | None = None
    missing: int | None = None
    labels: tuple[tuple[int, str], ...] = ()  # columns, and the value that is asked for
    unit: str = REQUESTS
    remark: str = ""  # what was taken for granted, as a sentence

    @property
    def numbers(self) -> tuple[int, ...]:
        """The columns that hold numbers, beside the time."""
        several = (self.amount, self.input_tokens, self.output_tokens, self.missing)
        return tuple(dict.fromkeys(one for one in several if one is not None))

    @property
    def asked(self) -> str:
        """The labels that are asked for, to name them."""
        return ", ".join(f"{self.names[column]}={value}" for column, value in self.labels)


def choose(
    place: Place, names: Sequence[str], *, column: str | None, labels: Mapping[str, str]
) -> Layout:
    """Return the layout of a table with these columns; `column` is the one with the demand."""
    known = [name.strip().lower() for name in names]
    time = next((one for one in TIME_COLUMNS if one.name in known), None)
    if time is None or not _is_table(known, time):
        found = _listed(names) if any(known) else "an empty file"
        raise DemandError(f"{place.path}:1: {_EXPECTED}; found {found}")
    table = _Table(place, tuple(names), tuple(known), time, labels)
    return table.of_requests(column) if time.is_arrival else table.of_bins(column)


def _is_table(known: Sequence[str], time: TimeColumn) -> bool:
    return time.is_arrival or len([name for name in known if name not in _TIMES]) > 0


_TIMES = {one.name for one in TIME_COLUMNS}


@dataclass(frozen=True, slots=True)
class _Table:
    place: Place
    names: tuple[str, ...]
    known: tuple[str, ...]
    time: TimeColumn
    labels: Mapping[str, str]

    def of_requests(self, column: str | None) -> Layout:
        if column is not None:
            raise self.place.wrong(
                f"its rows are requests, and these are counted: a column such as {column} can be "
                "chosen where each row is a bin of time"
            )
        return self._layout(None, REQUESTS)

    def of_bins(self, column: str | None) -> Layout:
        if column is not None:
            name = column.strip().lower()
            if name in _TIMES:
                raise self.place.wrong(
                    f"expected a column with the demand, got {column}, which holds the time; it "
                    f"has {_listed(self.names)}"
                )
            if name not in self.known:
                raise self.place.wrong(f"has no column {column}; it has {_listed(self.names)}")
        elif "requests" in self.known:
            name = "requests"
        elif "total_tokens" in self.known:
            name = "total_tokens"
        else:
            name = self._only_one()
            remark = f"the column {name} was read as the requests in each row"
            return self._layout(name, REQUESTS, remark)
        return self._layout(name, TOKENS if name.endswith("tokens") else REQUESTS)

    def _only_one(self) -> str:
        aside = _ASIDE | _TIMES | set(self.labels)
        possible = [name for name in self.known if name not in aside]
        others = [name for name in possible if name not in _TOKENS]
        if len(others) == 1:
            return others[0]
        raise self.place.wrong(
            "which column holds the demand is not clear: choose one of "
            f"{_listed(possible)} (--column NAME)"
        )

    def _layout(self, amount: str | None, unit: str, remark: str = "") -> Layout:
        has_sizes = amount in {None, "requests"}
        return Layout(
            self.names,
            self.time,
            self._number(self.time.name),
            None if amount is None else self._number(amount),
            self._if_there("input_tokens") if has_sizes else None,
            self._if_there("output_tokens") if has_sizes else None,
            self._if_there("missing"),
            tuple((self._label(name), value) for name, value in self.labels.items()),
            unit,
            remark,
        )

    def _if_there(self, name: str) -> int | None:
        return self._number(name) if name in self.known else None

    def _label(self, label: str) -> int:
        name = label if label in self.known else ALSO_CALLED.get(label, label)
        if name not in self.known:
            raise self.place.wrong(
                f"has no column {label} to choose by; it has {_listed(self.names)}"
            )
        return self._number(name)

    def _number(self, name: str) -> int:
        if self.known.count(name) > 1:
            raise self.place.wrong(f"has the column {name} twice; which one counts is not clear")
        return self.known.index(name)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
