"""Records as CSV: what is not known is an empty cell."""

import csv
import io
import math

from forecaster.cli.output.result import Cell, Records


def csv_text(records: Records) -> str:
    """Return a header and a line for each row; numbers keep every digit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(records.columns)
    writer.writerows([_cell(cell) for cell in row] for row in records.rows)
    return text.getvalue()


def _cell(cell: Cell) -> Cell:
    return "" if cell is None or (isinstance(cell, float) and math.isnan(cell)) else cell
