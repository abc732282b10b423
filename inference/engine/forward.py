"""From chunks to what a runtime computes: rows of like length, laid out as one batch."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import attrgetter, is_

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - as everywhere

from inference.engine.scheduler import Chunk
from inference.runtimes.runtime import NULL_BLOCK, Batch, ImageRows

_length = attrgetter("count")


def group_by_length(chunks: Sequence[Chunk]) -> Iterator[list[Chunk]]:
    """Yield chunks to compute together: every row of a batch is filled to more than half."""
    ordered, start = sorted(chunks, key=_length), 0
    while start < len(ordered):
        end = bisect_left(ordered, 2 * ordered[start].count, lo=start, key=_length)
        yield ordered[start:end]
        start = end


def batch_of(chunks: Sequence[Chunk], block_size: int) -> Batch:
    """Lay chunks out as the rows of one batch."""
    rows, width = len(chunks), max(chunk.count for chunk in chunks)
    blocks = max(-(-chunk.end // block_size) for chunk in chunks)
    tokens, positions, slots = np.zeros((3, rows, width), np.int64)
    tables = np.full((rows, blocks), NULL_BLOCK, np.int64)
    for row, chunk in enumerate(chunks):
        sequence, used = chunk.sequence, -(-chunk.end // block_size)
        tables[row, :used] = sequence.blocks[:used]
        at = np.arange(chunk.start, chunk.end)
        tokens[row, : chunk.count] = sequence.tokens[chunk.start : chunk.end]
        positions[row, : chunk.count] = at
        slots[row, : chunk.count] = tables[row, at // block_size] * block_size + at % block_size
    last = np.array([chunk.count - 1 for chunk in chunks])
    return Batch(tokens, positions, slots, tables, last, _images_of(chunks, width))


class Batches:
    """Lays groups of chunks out; from one decoding iteration to the next only what is new.

    As long as the same sequences decode, their arrays are kept and written to in place.
    """

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._tables: list[list[int]] = []  # the blocks of each row, as the sequence holds them
        self._lengths: list[int] = []  # how much of them is laid out
        nothing = np.zeros((0, 1), np.int64)
        self._batch = Batch(nothing, nothing, nothing, nothing, nothing[:, 0])

    def lay_out(self, chunks: list[Chunk]) -> Batch:
        """Return a group of chunks as one batch, valid until the next one is laid out."""
        if not chunks[-1].is_decode:  # the last one is the longest
            return batch_of(chunks, self._block_size)
        tables = [chunk.sequence.blocks for chunk in chunks]
        lengths = list(map(len, tables))
        if self._holds(tables) and max(lengths) <= self._batch.block_tables.shape[1]:
            self._lengthen(lengths)
        else:
            self._begin(tables, lengths)
        self._write(chunks)
        return self._batch

    def _holds(self, tables: list[list[int]]) -> bool:
        # A sequence has a new list each time it joins: the same lists are the same rows.
        return len(tables) == len(self._tables) and all(map(is_, tables, self._tables))

    def _lengthen(self, lengths: list[int]) -> None:
        if lengths == self._lengths:
            return
        for row, (before, now) in enumerate(zip(self._lengths, lengths, strict=True)):
            self._batch.block_tables[row, before:now] = self._tables[row][before:now]
        self._lengths = lengths

    def _begin(self, tables: list[list[int]], lengths: list[int]) -> None:
        rows, width = len(tables), max(lengths)
        padded = [table + [NULL_BLOCK] * (width - len(table)) for table in tables]
        tokens, positions, slots = np.zeros((3, rows, 1), np.int64)
        last = np.zeros(rows, np.int64)
        self._batch = Batch(tokens, positions, slots, np.array(padded, np.int64), last)
        self._tables, self._lengths = tables, lengths

    def _write(self, chunks: list[Chunk]) -> None:
        """Write the one token of each row, which goes into its last block."""
        batch, size = self._batch, self._block_size
        batch.tokens[:, 0] = [chunk.sequence.tokens[-1] for chunk in chunks]
        batch.positions[:, 0] = [chunk.start for chunk in chunks]
        batch.slots[:, 0] = [
            table[-1] * size + chunk.start % size
            for table, chunk in zip(self._tables, chunks, strict=True)
        ]


def _images_of(chunks: Sequence[Chunk], width: int) -> ImageRows | None:
    """Return the embeddings that stand in for tokens of the chunks, if any do."""
    rows: list[NDArray[np.int64]] = []
    values: list[NDArray[np.float32]] = []
    for row, chunk in enumerate(chunks):
        for image in chunk.sequence.request.images:
            start, end = max(chunk.start, image.start), min(chunk.end, image.end)
            if start < end:
                rows.append(row * width + np.arange(start, end) - chunk.start)
                values.append(image.embeddings[start - image.start : end - image.start])
    return ImageRows(np.concatenate(rows), np.concatenate(values)) if rows else None
