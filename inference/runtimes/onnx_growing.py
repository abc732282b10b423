"""Rows of KV for ONNX Runtime, laid out for the longest sequence that is being computed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.models.graph.attention import kv_names
from inference.models.spec import ModelSpec
from inference.runtimes.onnx_cache import Feed, Place, Tensor, Whole, image_inputs
from inference.runtimes.onnx_memory import Memory
from inference.runtimes.row_order import RowOrder
from inference.runtimes.runtime import Batch, BlockCopy

Parts = tuple[NDArray[Any], NDArray[Any]]  # of a tensor: front and rest, by row and head
STEP = 64  # tokens by which rows grow
PATIENCE = 256  # calls that all needed no more than half of a row before it shrinks


class SplitRows:
    """Rows of which the first `length` tokens lie at the front, and the rest behind them all.

    The front is what a graph is given: rows side by side, no longer than they are used. Moving
    the split moves numbers about in the same memory and loses none, however long a row is.
    """

    def __init__(self, spec: ModelSpec, memory: Memory, *, blocks: int) -> None:
        self._whole = (blocks, spec.kv_heads, spec.positions, spec.head_dim)
        memory.allocate(kv_names(spec), self._whole, lambda rows: rows)
        self._tensors = [memory.tensor(name) for name in kv_names(spec)]
        self._flat = [_on_host(one).reshape(-1) for one in self._tensors]
        self._row_bytes = spec.keys * memory.kind.itemsize  # of one token in one tensor
        self._needed = self._calls = 0  # since the last look at whether to shrink
        self._split(min(STEP, spec.positions))

    def fit(self, needed: int, used: Whole) -> None:
        """Grow to `needed` tokens at once; shrink when that little has been needed for long."""
        self._needed, self._calls = max(self._needed, needed), self._calls + 1
        if needed > self.length:
            self._move(needed, used)
        if self._calls == PATIENCE:
            if 2 * self._needed <= self.length:
                self._move(self._needed, used)
            self._needed = self._calls = 0

    def copy(self, copies: Sequence[BlockCopy]) -> None:
        """Copy tokens between rows, in order and in every tensor."""
        for source, target, tokens in copies:
            for front, rest in self._parts:
                front[target, :, :tokens] = front[source, :, :tokens]
                if tokens > self.length:
                    behind = tokens - self.length
                    rest[target, :, :behind] = rest[source, :, :behind]

    def tensors(self, start: int, count: int, suffix: str) -> list[Tensor]:
        """Return the front of some rows as the list that the graph takes."""
        _, heads, _, size = self._whole
        offset = start * self.length * self._row_bytes
        shape = (count * heads * self.length, size)
        return [Tensor(one.name + suffix, shape, one.address + offset) for one in self._tensors]

    def _move(self, needed: int, used: Whole) -> None:
        """Lay every row out anew; `used[row]` of its tokens are worth keeping."""
        before, rows = self._parts, np.flatnonzero(used).tolist()
        self._split(min(-(-needed // STEP) * STEP, self._whole[2]))
        for old, new in zip(before, self._parts, strict=True):
            kept = [_read(old, row, int(used[row])) for row in rows]  # all, as rows overlap
            for row, tokens in zip(rows, kept, strict=True):
                _write(new, row, tokens)

    def _split(self, length: int) -> None:
        blocks, heads, positions, size = self._whole
        cut = blocks * heads * length * size
        front, rest = (blocks, heads, length, size), (blocks, heads, positions - length, size)
        self.length = length
        self._parts = [
            (flat[:cut].reshape(front), flat[cut:].reshape(rest)) for flat in self._flat
        ]


def _read(parts: Parts, row: int, used: int) -> NDArray[Any]:
    front, rest = (part[row] for part in parts)
    behind = max(used - front.shape[1], 0)
    return np.concatenate([front[:, :used], rest[:, :behind]], axis=1)


def _write(parts: Parts, row: int, tokens: NDArray[Any]) -> None:
    front, rest = (part[row] for part in parts)
    used, length = tokens.shape[1], front.shape[1]
    front[:, :used] = tokens[:, :length]
    rest[:, : max(used - length, 0)] = tokens[:, length:]


class GrowingRowCache:
    """Rows of which those of a batch are bound as one tensor, as long as the batch needs."""

    def __init__(self, spec: ModelSpec, memory: Memory, *, blocks: int) -> None:
        self._spec = spec
        self._memory = memory
        self._rows = SplitRows(spec, memory, blocks=blocks)
        self._order = RowOrder(blocks)

    def parts(self, batch: Batch) -> list[Whole]:
        """Compute apart what padding would harm.

        A full row leaves no slot for it, and is computed alone. A row of one token would take
        the products of wider ones, and get other bits than it gets among its like.
        """
        rows, is_padded = np.arange(len(batch.last)), _is_padded(batch)
        is_full = _lengths(batch) + is_padded > self._spec.positions
        is_single = is_padded & (batch.last == 0) & ~is_full
        groups = [rows[~is_full & ~is_single], rows[is_single]]
        return [group for group in groups if len(group)] + [rows[[at]] for at in rows[is_full]]

    def feed(self, batch: Batch) -> Feed:
        """Bring the batch's rows together, long enough, and feed it in the order of the rows."""
        count, width = batch.tokens.shape
        lengths = _lengths(batch)
        there = self._order.arrange(batch.block_tables[:, 0], lengths)
        self._rows.copy(there.copies)
        self._rows.fit(int((lengths + _is_padded(batch)).max()), self._order.used)
        positions, rank = batch.positions[there.order], np.argsort(there.order)
        is_real = np.arange(width) <= batch.last[there.order, None]
        inputs = {
            "tokens": batch.tokens[there.order],
            "positions": positions,
            "slots": np.where(is_real, positions, self._rows.length - 1),
            "last_rows": rank * width + batch.last,
        }
        place = (count, there.start, self._rows.length)
        return Feed(inputs | image_inputs(self._spec, batch, rank), place)

    def inputs(self, place: Place) -> list[Tensor]:
        """Return the rows of one stretch."""
        return self._rows.tensors(place[1], place[0], "")

    def outputs(self, place: Place) -> list[Tensor]:
        """Return the rows again: the same memory."""
        return self._rows.tensors(place[1], place[0], "_out")

    def finish(self, batch: Batch, outputs: Sequence[Tensor]) -> None:
        """Nothing is left to do."""

    def copy(self, copies: Sequence[BlockCopy]) -> None:
        """Copy tokens between the rows of blocks, in order."""
        row = self._order.row
        self._rows.copy(
            [BlockCopy(row(one.source), row(one.target), one.tokens) for one in copies]
        )
        for one in copies:
            self._order.fill(one.target, one.tokens)


def _lengths(batch: Batch) -> Whole:
    """Return how many tokens each row holds after the step."""
    lengths: Whole = batch.positions[np.arange(len(batch.last)), batch.last] + 1
    return lengths


def _is_padded(batch: Batch) -> NDArray[np.bool_]:
    padded: NDArray[np.bool_] = batch.last + 1 < batch.tokens.shape[1]
    return padded


def _on_host(tensor: Tensor) -> NDArray[Any]:
    if tensor.host is None:
        raise TypeError(f"{tensor.name} is not in host memory")
    return tensor.host
