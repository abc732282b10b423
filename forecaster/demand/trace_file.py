"""Reading traces: CSV or CSV.gz, whole lines at a time, with errors that name the line."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from forecaster.demand.columns import choose
from forecaster.demand.csv_blocks import read_blocks, read_header
from forecaster.demand.csv_cells import CellReader
from forecaster.demand.gathering import Gathering
from forecaster.demand.place import Place
from forecaster.demand.repair import Findings
from forecaster.demand.rows import Checking, Rows
from forecaster.demand.times import Stamps
from forecaster.demand.trace import Trace

NO_LABELS: Mapping[str, str] = {}


def read_trace(
    path: Path,
    *,
    step: float | None = None,
    column: str | None = None,
    labels: Mapping[str, str] = NO_LABELS,
    is_counter: bool = False,
) -> Trace:
    """Read a recorded trace; an empty cell is a missing value.

    With a step, requests are counted into such steps as they are read, so that memory grows
    with the time they span and not with their number; without one, each is kept. `column` is
    the one with the demand, `labels` are the values that rows must have in other columns.
    """
    place = Place(str(path))
    layout = choose(place, read_header(path), column=column, labels=labels)

    def read(findings: Findings) -> Iterator[Rows]:
        stamps = Stamps(place, layout.time, layout.names[layout.at])
        reader = CellReader(Checking(place, layout, findings), stamps)
        return (reader.rows(block) for block in read_blocks(path))

    return Gathering(place, layout, read, is_counter).trace(step=step)
