"""The formats that a result is written in, and which one is meant where none is named."""

from enum import StrEnum
from pathlib import Path

from forecaster.cli.output.result import Result


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


_SUFFIXES = {
    ".json": Format.JSON,
    ".csv": Format.CSV,
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
}


def format_of(asked: str | None, output: Path | None) -> Format:
    """Return the format that was asked for, or the one that the file is named for."""
    if asked is not None:
        return Format(asked)
    return Format.TABLE if output is None else _SUFFIXES.get(output.suffix.lower(), Format.TABLE)


def encoded(result: Result, form: Format) -> bytes:
    """Return the result as the bytes of a file."""
    if form is Format.JSON:
        from forecaster.cli.output.json_text import json_text  # noqa: PLC0415 - only what is asked

        return json_text(result.document).encode()
    if form is Format.CSV:
        from forecaster.cli.output.csv_text import csv_text  # noqa: PLC0415

        return csv_text(result.records).encode()
    if form is Format.PARQUET:
        from forecaster.cli.output.parquet import parquet_bytes  # noqa: PLC0415

        return parquet_bytes(result.records)
    from forecaster.cli.output.terminal import plain_text  # noqa: PLC0415

    return plain_text(result.shown).encode()
