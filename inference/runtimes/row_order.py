"""Which row of memory holds the KV of each sequence, so that the rows of a batch lie together.

The engine names blocks, one per sequence; ONNX Runtime wants the rows of a batch side by side.
Rows are therefore moved now and then, when a sequence joins or leaves, and a batch that stays
the same moves nothing. Row 0 belongs to the null block, is never read, and serves as scratch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.runtimes.runtime import NULL_BLOCK, BlockCopy

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where a batch's rows lie once the copies are made: `start` and on, in this order."""

    start: int
    order: Whole  # [B]: the batch's row that lies first, second, …
    copies: tuple[BlockCopy, ...]  # between rows of memory


class RowOrder:
    """A permutation from blocks to rows of memory, and how far each row is filled."""

    def __init__(self, blocks: int) -> None:
        self._row = np.arange(blocks)  # by block
        self._block = np.arange(blocks)  # by row
        self._used = np.zeros(blocks, np.int64)  # tokens, by row
        self._company = np.ones(blocks, np.int64)  # rows that it was last computed with, by row

    @property
    def used(self) -> Whole:
        """Tokens that each row holds."""
        return self._used

    def row(self, block: int) -> int:
        """Return the row in which a block lies."""
        return int(self._row[block])

    def fill(self, block: int, tokens: int) -> None:
        """Note that a block holds its first `tokens` tokens."""
        self._used[self._row[block]] = tokens

    def arrange(self, blocks: Whole, lengths: Whole) -> Arrangement:
        """Bring these blocks together; they hold so many tokens after the step."""
        rows = self._row[blocks]
        copies: list[BlockCopy] = []
        if rows.max() - rows.min() >= len(rows):
            copies = [copy for copy in self._gather(rows) if copy.tokens]
            rows = self._row[blocks]
        self._used[rows] = lengths
        self._company[rows] = len(rows)
        return Arrangement(int(rows.min()), np.argsort(rows), tuple(copies))

    def _gather(self, rows: Whole) -> Iterator[BlockCopy]:
        """Move the rows into the window where that moves the fewest tokens."""
        wanted = np.zeros(len(self._row), bool)
        wanted[rows] = True
        start = self._window(wanted, len(rows))
        inside = np.zeros_like(wanted)
        inside[start : start + len(rows)] = True
        strays, holes = np.flatnonzero(wanted & ~inside), np.flatnonzero(inside & ~wanted)
        for stray, hole in zip(strays, holes, strict=True):
            yield from self._swap(int(stray), int(hole))

    def _window(self, wanted: NDArray[np.bool_], size: int) -> int:
        # A row moved out of the way is copied twice, and if it had company, is missed there.
        foreign = (2 + self._company) * (1 + self._used)
        cost = np.where(wanted, -1 - self._used, foreign)  # of having a row inside
        cost[NULL_BLOCK] = np.iinfo(np.int64).max // 2
        total = np.concatenate(([0], np.cumsum(cost)))
        return int(np.argmin(total[size + 1 :] - total[1:-size])) + 1

    def _swap(self, stray: int, hole: int) -> Iterator[BlockCopy]:
        stray_used, hole_used = int(self._used[stray]), int(self._used[hole])
        yield BlockCopy(hole, NULL_BLOCK, hole_used)
        yield BlockCopy(stray, hole, stray_used)
        yield BlockCopy(NULL_BLOCK, stray, hole_used)
        pair = [stray, hole]
        for facts in (self._used, self._company, self._block):
            facts[pair] = facts[pair[::-1]]
        self._row[self._block[pair]] = pair
