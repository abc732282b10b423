"""One iteration on the runtime: chunks to ragged batches, logits to the next tokens."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.engine.sampling import choose
from inference.engine.scheduler import Chunk
from inference.runtimes.runtime import NULL_BLOCK, Batch, Runtime


def forward(runtime: Runtime, chunks: Sequence[Chunk]) -> list[int | None]:
    """Compute the chunks; return for each the token that follows it, if it draws one."""
    tokens: dict[int, int] = {}
    for members in group_by_length(chunks):
        batch = batch_of([chunks[member] for member in members], runtime.block_size)
        logits = runtime.step(batch)
        for row, member in zip(logits, members, strict=True):
            if chunks[member].draws:
                tokens[member] = _draw(row, chunks[member])
    return [tokens.get(member) for member in range(len(chunks))]


def group_by_length(chunks: Sequence[Chunk]) -> Iterator[list[int]]:
    """Yield indices of chunks to compute together: every row is filled to more than half."""
    order = sorted(range(len(chunks)), key=lambda member: chunks[member].count)
    group: list[int] = []
    for member in order:
        if group and chunks[member].count >= 2 * chunks[group[0]].count:
            yield group
            group = []
        group.append(member)
    if group:
        yield group


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
    return Batch(tokens, positions, slots, tables, last)


def _draw(logits: NDArray[np.float32], chunk: Chunk) -> int:
    sequence = chunk.sequence
    return choose(logits, sequence.request.sampling, position=sequence.answered)
