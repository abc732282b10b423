"""Pools of KV blocks for ONNX Runtime, updated by the graph or, for HOSTKV, after it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.models.graph.attention import kv_names
from inference.models.spec import ModelSpec
from inference.runtimes.onnx_cache import Feed, Place, Tensor, Whole, image_inputs
from inference.runtimes.onnx_memory import Memory
from inference.runtimes.onnx_parts import split_by_length
from inference.runtimes.runtime import Batch, BlockCopy

_PASS_BYTES = 4 << 20  # what could be read in the time that a call takes beside its reading
_TOUCHES = 3  # of gathered KV: read, written together, read again


class PagedCache:
    """Pools that are input and output of the graph at once."""

    def __init__(
        self, spec: ModelSpec, memory: Memory, *, blocks: int, block_size: int, weight_bytes: int
    ) -> None:
        self._spec = spec
        self._memory = memory
        self._block_size = block_size
        block_bytes = 2 * spec.layers * spec.keys * block_size * memory.kind.itemsize
        self._pass_cost = (weight_bytes + _PASS_BYTES) // (_TOUCHES * block_bytes)  # in blocks
        shape = (spec.kv_heads * blocks * block_size, spec.head_dim)

        def by_block(pool: NDArray[Any]) -> NDArray[Any]:
            return pool.reshape(spec.kv_heads, blocks, block_size, -1).swapaxes(0, 1)

        memory.allocate(kv_names(spec), shape, by_block)
        self._pools = [memory.tensor(name) for name in kv_names(spec)]
        self._last: dict[int, Whole] = {}  # by number of rows

    def parts(self, batch: Batch) -> list[Whole]:
        """Group rows by length where reading the weights again costs less than the padding."""
        starts = batch.positions[:, 0]
        lengths = (starts + batch.last) // self._block_size + 1
        return split_by_length(lengths, pass_cost=self._pass_cost)

    def feed(self, batch: Batch) -> Feed:
        """Feed the batch as it is."""
        inputs = {
            "tokens": batch.tokens,
            "positions": batch.positions,
            "slots": batch.slots,
            "block_tables": batch.block_tables,
            "last_rows": self._last_rows(batch),
        }
        return Feed(inputs | image_inputs(self._spec, batch), (len(batch.tokens),))

    def inputs(self, place: Place) -> list[Tensor]:  # noqa: ARG002 - the same everywhere
        """Return the pools."""
        return self._pools

    def outputs(self, place: Place) -> list[Tensor]:  # noqa: ARG002 - the same everywhere
        """Return the pools again: the same memory."""
        return [replace(pool, name=f"{pool.name}_out") for pool in self._pools]

    def finish(self, batch: Batch, outputs: Sequence[Tensor]) -> None:
        """Nothing is left to do."""

    def copy(self, copies: Sequence[BlockCopy]) -> None:
        """Copy tokens between blocks, in order."""
        self._memory.copy(copies)

    def _last_rows(self, batch: Batch) -> Whole:
        """Return the rows that want logits, in an array that is the same for as many rows."""
        rows, width = batch.tokens.shape
        if rows not in self._last:
            self._last[rows] = np.empty(rows, np.int64)
        return np.add(np.arange(0, rows * width, width), batch.last, out=self._last[rows])


class HostKvCache(PagedCache):
    """Pools that the graph only reads; new keys and values are written into them after it."""

    _new: Sequence[NDArray[Any]] = ()  # flat; what the graph writes to

    def feed(self, batch: Batch) -> Feed:
        """Feed all but the slots, which the graph has no use for."""
        inputs = super().feed(batch).inputs
        del inputs["slots"]
        return Feed(inputs, batch.tokens.shape)

    def outputs(self, place: Place) -> list[Tensor]:
        """Return room for the new keys and values of a shape of batch; all shapes share it."""
        (rows, width), spec = place, self._spec
        shape, size = (rows, spec.kv_heads, width, spec.head_dim), rows * width * spec.keys
        if not self._new or size > len(self._new[0]):
            room = 1 << (size - 1).bit_length()  # doubled, as smaller ones may still be bound
            self._new = [np.empty(room, self._memory.kind) for _ in self._pools]
        arrays = [flat[:size].reshape(shape) for flat in self._new]
        return [
            Tensor(f"{pool.name}_new", shape, array.ctypes.data, array)
            for pool, array in zip(self._pools, arrays, strict=True)
        ]

    def finish(self, batch: Batch, outputs: Sequence[Tensor]) -> None:
        """Write the new keys and values into the slots of their tokens."""
        slots = batch.slots.ravel()
        for pool, new in zip(self._pools, outputs, strict=True):
            by_head = _host(new).swapaxes(0, 1).reshape(self._spec.kv_heads, len(slots), -1)
            _host(pool).reshape(self._spec.kv_heads, -1, self._spec.head_dim)[:, slots] = by_head


def _host(tensor: Tensor) -> NDArray[Any]:
    if tensor.host is None:
        raise TypeError(f"{tensor.name} is not in host memory")
    return tensor.host
