"""What is for information, told to people in grids: a line a subject, a column a figure."""

import math
from collections.abc import Iterable, Sequence

from report import Row
from rich.console import Console
from rich.table import Table

_LEAST_FIGURES = 3  # with fewer a subject is told row by row


def without_grids(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that no grid tells."""
    told = {id(row) for grid in _grids(rows) for row in grid}
    return [row for row in rows if id(row) not in told]


def show(rows: Sequence[Row]) -> None:
    """Print the grids; subjects that begin with the same figure share one."""
    for grid in _grids(rows):
        Console().print(_table(grid))


def _grids(rows: Iterable[Row]) -> list[list[Row]]:
    by_subject: dict[str, list[Row]] = {}
    for row in rows:
        if row.bar is None and not math.isnan(row.value):
            by_subject.setdefault(row.subject, []).append(row)
    grids: dict[str, list[Row]] = {}
    for figures in by_subject.values():
        if len(figures) >= _LEAST_FIGURES:
            grids.setdefault(figures[0].figure, []).extend(figures)
    return list(grids.values())


def _table(rows: Sequence[Row]) -> Table:
    figures = list(dict.fromkeys(row.figure for row in rows))
    units = {row.figure: row.unit for row in rows}
    values = {(row.subject, row.figure): f"{row.value:.3g}" for row in rows}
    table = Table()
    table.add_column("subject", overflow="fold")
    for figure in figures:
        table.add_column(f"{figure}, {units[figure]}".rstrip(", "), justify="right")
    for subject in dict.fromkeys(row.subject for row in rows):
        table.add_row(subject, *(values.get((subject, figure), "") for figure in figures))
    return table
