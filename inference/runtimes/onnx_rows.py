"""Rows of KV for ONNX Runtime, one per sequence and as long as the longest context."""

from collections.abc import Sequence

import numpy as np

from inference.models.graph.attention import kv_names
from inference.models.precision import Lowering
from inference.models.spec import ModelSpec
from inference.runtimes.onnx_cache import Arrays, Feed, Place, Tensor, Whole, image_inputs
from inference.runtimes.onnx_memory import Memory
from inference.runtimes.row_order import RowOrder
from inference.runtimes.runtime import Batch, BlockCopy


class RowCache:
    """Rows of which those of a batch are bound as one tensor, at an offset.

    A group of decodes and a group of prefills each keep a stretch of rows of their own.
    """

    def __init__(
        self, spec: ModelSpec, memory: Memory, lowering: Lowering, *, blocks: int
    ) -> None:
        self._spec = spec
        self._memory = memory
        self._inputs = _gqa_inputs if lowering is Lowering.GQA else _kvupdate_inputs
        self._row_bytes = spec.keys * spec.positions * memory.kind.itemsize  # of one tensor
        self._shape = (spec.kv_heads, spec.positions, spec.head_dim)
        memory.allocate(kv_names(spec), (blocks, *self._shape), lambda rows: rows)
        self._rows = [memory.tensor(name) for name in kv_names(spec)]
        self._order = RowOrder(blocks)

    def parts(self, batch: Batch) -> list[Whole]:
        """Compute a row alone where the batch's padding would run past the end of its KV."""
        ends = batch.positions[:, 0] + batch.tokens.shape[1]
        if int(ends.max()) <= self._spec.positions:
            return [np.arange(len(ends))]
        far = ends > self._spec.positions
        together = [np.flatnonzero(~far)] if not far.all() else []
        return together + [np.array([row]) for row in np.flatnonzero(far)]

    def feed(self, batch: Batch) -> Feed:
        """Bring the batch's rows together and feed it in the order in which they lie."""
        count, width = batch.tokens.shape
        lengths = batch.positions[np.arange(count), batch.last] + 1
        there = self._order.arrange(batch.block_tables[:, 0], lengths)
        self._memory.copy(there.copies)
        rank = np.argsort(there.order)
        inputs = self._inputs(batch, there.order, lengths[there.order])
        inputs |= {"tokens": batch.tokens[there.order], "last_rows": rank * width + batch.last}
        return Feed(inputs | image_inputs(self._spec, batch, rank), (count, there.start))

    def inputs(self, place: Place) -> list[Tensor]:
        """Return the rows of one stretch."""
        return self._stretch(place, "")

    def outputs(self, place: Place) -> list[Tensor]:
        """Return the rows again: the same memory."""
        return self._stretch(place, "_out")

    def finish(self, batch: Batch, outputs: Sequence[Tensor]) -> None:
        """Nothing is left to do."""

    def copy(self, copies: Sequence[BlockCopy]) -> None:
        """Copy tokens between the rows of blocks, in order."""
        row = self._order.row
        self._memory.copy(
            [BlockCopy(row(one.source), row(one.target), one.tokens) for one in copies]
        )
        for one in copies:
            self._order.fill(one.target, one.tokens)

    def _stretch(self, place: Place, suffix: str) -> list[Tensor]:
        count, start = place
        offset = start * self._row_bytes
        return [
            Tensor(one.name + suffix, (count, *self._shape), one.address + offset)
            for one in self._rows
        ]


def _gqa_inputs(batch: Batch, order: Whole, lengths: Whole) -> Arrays:
    return {
        "lengths": (lengths - 1).astype(np.int32),
        "counts": (batch.last[order] + 1).astype(np.int32),
        "total": np.array(lengths.max(), np.int32),
    }


def _kvupdate_inputs(batch: Batch, order: Whole, lengths: Whole) -> Arrays:  # noqa: ARG001
    positions = batch.positions[order]
    return {"positions": positions, "starts": positions[:, 0].copy()}
