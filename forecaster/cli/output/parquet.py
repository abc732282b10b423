"""Records as Parquet, by pyarrow."""

import io
import math

from forecaster.cli.output.result import Cell, Records
from forecaster.demand.demand import DemandError


def parquet_bytes(records: Records) -> bytes:
    """Return the records as a file; what is not known is null."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise DemandError(
            "Parquet is written by pyarrow, which is not installed: "
            "pip install 'warmfront[parquet]', or ask for --format csv"
        ) from error
    columns = {name: [_cell(cell) for cell in cells] for name, cells in records.columns.items()}
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def _cell(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and math.isnan(cell) else cell
