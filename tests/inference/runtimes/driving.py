"""Drives a runtime as an engine does: sequences in, ragged batches out."""

from dataclasses import dataclass, field

import numpy as np

from inference.runtimes.runtime import NULL_BLOCK, Batch, Runtime


@dataclass
class Line:
    """One sequence: its tokens, how many are computed, and its blocks."""

    tokens: list[int]
    blocks: list[int]
    done: int = 0
    logits: list[np.ndarray] = field(default_factory=list)


def random_lines(vocabulary: int, lengths: list[int], blocks: list[list[int]]) -> list[Line]:
    rng = np.random.default_rng(5)
    return [
        Line(rng.integers(0, vocabulary, length).tolist(), owned)
        for length, owned in zip(lengths, blocks, strict=True)
    ]


def batch_of(lines: list[Line], most: int, block_size: int) -> Batch:
    counts = [min(most, len(line.tokens) - line.done) for line in lines]
    width = max(counts)
    used = max(-(-(line.done + n) // block_size) for line, n in zip(lines, counts, strict=True))
    tokens, positions, slots = np.zeros((3, len(lines), width), np.int64)
    tables = np.full((len(lines), used), NULL_BLOCK, np.int64)
    for row, (line, count) in enumerate(zip(lines, counts, strict=True)):
        at = np.arange(line.done, line.done + count)
        blocks = np.array(line.blocks)
        tables[row, : min(used, len(blocks))] = blocks[:used]
        tokens[row, :count] = line.tokens[line.done : line.done + count]
        positions[row, :count] = at
        slots[row, :count] = blocks[at // block_size] * block_size + at % block_size
    return Batch(tokens, positions, slots, tables, np.array(counts) - 1)


def advance(runtime: Runtime, lines: list[Line], most: int) -> np.ndarray:
    """Compute up to `most` tokens of each line in one step."""
    batch = batch_of(lines, most, runtime.block_size)
    logits = runtime.step(batch).copy()
    for line, last in zip(lines, batch.last, strict=True):
        line.done += int(last) + 1
    return logits
