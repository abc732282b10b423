"""Blocks of a CSV file: its header, then whole lines, a few megabytes at a time."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from forecaster.demand.demand import DemandError

_BLOCK_BYTES = 1 << 22
_LONGEST_LINE = 1 << 24


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, each with its end, and the number of the first."""

    line: int
    text: bytes


def read_header(path: Path) -> tuple[str, ...]:
    """Return the names in the first line; none for an empty file."""
    with reading(path) as lines:
        first = lines.readline(_LONGEST_LINE)
    return next(iter(_cells(path, first)), ())


def read_blocks(path: Path) -> Iterator[Block]:
    """Yield the lines after the header."""
    with reading(path) as lines:
        lines.readline(_LONGEST_LINE)
        number, rest = 2, b""
        while True:
            more = lines.read(_BLOCK_BYTES)
            if not more:
                break
            whole, cut, rest_of = (rest + more).rpartition(b"\n")
            rest = rest_of
            if len(rest) > _LONGEST_LINE:
                raise DemandError(f"{path}:{number}: expected lines, got one without an end")
            if cut:
                yield Block(number, whole + cut)
                number += whole.count(b"\n") + 1
        if rest:
            yield Block(number, rest + b"\n")


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, and say in our words what is wrong with it."""
    try:
        with _opened(path) as file:
            yield file
    except (EOFError, zlib.error) as error:
        raise DemandError(f"{path}: the compressed file is damaged or cut off: {error}") from error
    except OSError as error:
        raise DemandError(f"{path}: cannot be read: {error.strerror or error}") from error


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _cells(path: Path, line: bytes) -> list[tuple[str, ...]]:
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
        return [tuple(row) for row in csv.reader([text], strict=True)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DemandError(f"{path}: expected text with comma-separated values: {error}") from error
