"""Cuts batches to the few shapes for which an engine is compiled, and pads them to these."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.runtimes.runtime import NULL_BLOCK, Batch, ImageRows


@dataclass(frozen=True, slots=True)
class ShapeLimits:
    """The largest shapes of one call; larger batches take several."""

    decode_rows: int = 64
    prefill_rows: int = 4
    chunk: int = 512  # tokens of a row

    def __post_init__(self) -> None:
        for name in ("decode_rows", "prefill_rows", "chunk"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of 1 or more, got {getattr(self, name)}")

    def rows(self, width: int) -> int:
        """Return how many rows of `width` tokens one call takes."""
        return self.decode_rows if width == 1 else self.prefill_rows


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a batch that one call computes."""

    members: NDArray[np.int64]  # rows of the whole batch
    ends: NDArray[np.bool_]  # whether the row's last token is in this piece
    batch: Batch


def pieces(batch: Batch, limits: ShapeLimits, *, distinct: bool) -> Iterator[Piece]:
    """Cut a batch into calls that are to be made in order.

    With `distinct`, no two rows of a piece have the same first block.
    """
    for start in range(0, batch.tokens.shape[1], limits.chunk):
        width = int(batch.last.max()) + 1 - start
        limit = limits.rows(min(width, limits.chunk))
        members = np.flatnonzero(batch.last >= start)
        for group in _groups(batch, members, distinct=distinct):
            for first in range(0, len(group), limit):
                yield _piece(batch, group[first : first + limit], start, limits.chunk)


def bucket(size: int, largest: int) -> int:
    """Return the power of two that holds `size`, or the largest where that is beyond it."""
    return min(1 << (size - 1).bit_length(), largest)


def padded(batch: Batch, *, rows: int, width: int, blocks: int, images: int) -> Batch:
    """Pad a batch; added rows and columns are token 0 at position 0 in the null block.

    Added image rows repeat the last one, which changes nothing.
    """
    more = rows - len(batch.tokens)
    wide = ((0, more), (0, width - batch.tokens.shape[1]))
    tables = ((0, more), (0, blocks - batch.block_tables.shape[1]))
    return Batch(
        np.pad(batch.tokens, wide),
        np.pad(batch.positions, wide),
        np.pad(batch.slots, wide),
        np.pad(batch.block_tables, tables, constant_values=NULL_BLOCK),
        np.pad(batch.last, (0, more)),
        _widened(batch, width, images),
    )


def reordered(batch: Batch, order: NDArray[np.int64]) -> Batch:
    """Return the batch with row i being what `order[i]` was."""
    return Batch(
        batch.tokens[order],
        batch.positions[order],
        batch.slots[order],
        batch.block_tables[order],
        batch.last[order],
        _images_of(batch, order, slice(0, batch.tokens.shape[1])),
    )


def _groups(
    batch: Batch, members: NDArray[np.int64], *, distinct: bool
) -> Iterator[NDArray[np.int64]]:
    while len(members):
        if not distinct:
            yield members
            return
        _, firsts = np.unique(batch.block_tables[members, 0], return_index=True)
        yield members[np.sort(firsts)]
        members = np.delete(members, firsts)


def _piece(batch: Batch, members: NDArray[np.int64], start: int, chunk: int) -> Piece:
    last = batch.last[members] - start
    columns = slice(start, start + min(int(last.max()) + 1, chunk))
    cut = Batch(
        batch.tokens[members, columns],
        batch.positions[members, columns],
        batch.slots[members, columns],
        batch.block_tables[members],
        np.minimum(last, chunk - 1),
        _images_of(batch, members, columns),
    )
    return Piece(members, last < chunk, cut)


def _images_of(batch: Batch, members: NDArray[np.int64], columns: slice) -> ImageRows | None:
    """Return the image rows that lie in these rows and columns, counted within them."""
    if batch.images is None:
        return None
    row, column = np.divmod(batch.images.rows, batch.tokens.shape[1])
    place = np.full(len(batch.tokens), -1)
    place[members] = np.arange(len(members))
    kept = (place[row] >= 0) & (column >= columns.start) & (column < columns.stop)
    width = columns.stop - columns.start
    rows = place[row[kept]] * width + column[kept] - columns.start
    return ImageRows(rows, batch.images.values[kept])


def _widened(batch: Batch, width: int, count: int) -> ImageRows | None:
    """Count image rows in rows of another width, and repeat the last up to `count`."""
    if batch.images is None:
        return None
    row, column = np.divmod(batch.images.rows, batch.tokens.shape[1])
    repeated = np.minimum(np.arange(count), len(row) - 1)
    return ImageRows((row * width + column)[repeated], batch.images.values[repeated])
