"""Reading Parquet: the columns of a CSV trace, one group of rows at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forecaster.demand.columns import Layout, choose
from forecaster.demand.demand import DemandError, Floats
from forecaster.demand.gathering import Gathering
from forecaster.demand.place import Place
from forecaster.demand.repair import Findings
from forecaster.demand.rows import Checking, Indices, Rows
from forecaster.demand.times import Stamps
from forecaster.demand.trace import Trace
from forecaster.demand.trace_file import NO_LABELS

_BATCH_ROWS = 1 << 17


def read_parquet(
    path: Path,
    *,
    step: float | None = None,
    column: str | None = None,
    labels: Mapping[str, str] = NO_LABELS,
    is_counter: bool = False,
) -> Trace:
    """Read a trace as `read_trace` does, out of a Parquet file; a null is a missing value."""
    place = Place(str(path), word="row")
    names = tuple(_opened(path).schema_arrow.names)
    layout = choose(place, names, column=column, labels=labels)

    def read(findings: Findings) -> Iterator[Rows]:
        stamps = Stamps(place, layout.time, layout.names[layout.at])
        reader = _BatchReader(Checking(place, layout, findings), stamps)
        return reader.all_rows(path)

    return Gathering(place, layout, read, is_counter).trace(step=step)


def _opened(path: Path) -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise DemandError(
            f"{path}: Parquet is read by pyarrow, which is not installed: "
            "pip install 'warmfront[parquet]'"
        ) from error
    try:
        return pq.ParquetFile(path)
    except OSError as error:
        raise DemandError(f"{path}: cannot be read: {error.strerror or error}") from error
    except pa.ArrowInvalid as error:
        raise DemandError(f"{path}: expected a Parquet file: {error}") from error


@dataclass(frozen=True, slots=True)
class _BatchReader:
    checking: Checking
    stamps: Stamps

    @property
    def layout(self) -> Layout:
        return self.checking.layout

    def all_rows(self, path: Path) -> Iterator[Rows]:
        layout = self.layout
        columns = [layout.at, *layout.numbers, *(column for column, _ in layout.labels)]
        names = list(dict.fromkeys(layout.names[column] for column in columns))
        first = 1
        for batch in _batches(path, names):
            yield self._rows(batch, first + np.arange(batch.num_rows, dtype=np.int64))
            first += batch.num_rows

    def _rows(self, batch: Any, lines: Indices) -> Rows:
        layout = self.layout
        at = self._at(batch.column(layout.names[layout.at]), lines)
        numbers = {
            number: self._numbers(batch.column(layout.names[number]), number)
            for number in layout.numbers
        }
        taken = None
        for number, value in layout.labels:
            is_taken = _is_equal(batch.column(layout.names[number]), value)
            taken = is_taken if taken is None else taken & is_taken
        return self.checking.rows(lines, at, numbers, taken)

    def _at(self, column: Any, lines: Indices) -> Floats:
        import pyarrow as pa  # noqa: PLC0415 - an extra

        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            zone = getattr(column.type, "tz", None) is not None
            moments = column.to_numpy(zero_copy_only=False).astype("datetime64[us]")
            seconds = np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 1e6)
            return self.stamps.moments(seconds, np.full(lines.size, zone), lines)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return self.stamps.texts([cell or "" for cell in column.to_pylist()], lines)
        return self.stamps.numbers(self._numbers(column, self.layout.at), lines)

    def _numbers(self, column: Any, number: int) -> Floats:
        """Return numbers, NaN where null, infinity where none is finite."""
        import pyarrow as pa  # noqa: PLC0415 - an extra

        try:
            values: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise self.checking.place.wrong(
                f"expected numbers in {self.layout.names[number]}, got {column.type}"
            ) from error
        is_null = column.is_null().to_numpy(zero_copy_only=False)
        return np.where(is_null | np.isfinite(values), values, np.inf)


def _batches(path: Path, names: list[str]) -> Iterator[Any]:
    """Yield groups of rows, and say in our words where the file is damaged."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    try:
        yield from _opened(path).iter_batches(batch_size=_BATCH_ROWS, columns=names)
    except (OSError, pa.ArrowException) as error:
        raise DemandError(f"{path}: the Parquet file is damaged: {error}") from error


def _is_equal(column: Any, value: str) -> Any:
    cells = column.to_pylist()
    return np.array([cell is not None and str(cell) == value for cell in cells], dtype=bool)
