"""Attention over one row of KV per sequence.

The rows of a batch lie side by side in memory, in the order of the batch.
"""

import numpy as np
from onnx import TensorProto

from inference.models.graph.attention import Heads, kv_names, masked, visible
from inference.models.graph.nodes import CONTRIB, Nodes
from inference.models.rotary import rotary_tables
from inference.models.spec import ModelSpec


class RowsAttention:
    """Plain products over rows of one length, which the runtime chooses for each call.

    Keys are (row * kv_heads + head) * length + slot in one list, as values are: writing a token
    then takes one index, and a product reads the very memory that was written. `slots[b, t]` is
    where in its row a token is written: its position, or for padding a slot that is not read.
    """

    opset = 23

    def __init__(self, graph: Nodes, spec: ModelSpec, block_size: int) -> None:  # noqa: ARG002 - the graph says no length
        self._graph = graph
        self._spec = spec
        self._heads = Heads(graph, spec)

    def begin(self) -> None:
        """Declare positions, slots and rows, find where to write, and mask what is not seen."""
        g, spec = self._graph, self._spec
        positions = g.index_input("positions", ["B", "T"])
        slots = g.index_input("slots", ["B", "T"])
        for name in kv_names(spec):
            g.input(name, g.float_type, ["P", spec.head_dim])
            g.output(f"{name}_out", g.float_type, ["P", spec.head_dim])
        self._heads.begin(positions)
        self._rows = g.op("Shape", "tokens", start=0, end=1)
        lists = g.op("Mul", self._rows, g.whole([spec.kv_heads]))
        keys = g.op("Shape", kv_names(spec)[0], start=0, end=1)
        length = g.op("Squeeze", g.op("Div", keys, lists), g.whole([0]))
        self._written = self._places(slots, g.op("Squeeze", lists, g.whole([0])), length)
        queries = g.op("Unsqueeze", positions, g.whole([1, 2, 4]))
        key_positions = g.op("Range", g.whole(0), length, g.whole(1))
        self._mask = masked(g, visible(g, spec, key_positions, queries))

    def attend(self, layer: int, query: str, key: str, value: str) -> str:
        """Write the new tokens, then attend over the rows.

        The heads of a group are products of their own, not rows of one: a row times a matrix is
        the only product that reads keys and values without first copying them into an order of
        its own, and of a group all but the first find them in the cache.
        """
        g, spec, heads = self._graph, self._spec, self._heads
        keys = self._updated(f"keys_{layer}", heads.rotated(key, spec.kv_heads))
        values = self._updated(f"values_{layer}", heads.apart(value, spec.kv_heads))
        scaled = g.op(
            "Mul", heads.rotated(query, spec.heads), g.real("scale", spec.head_dim**-0.5)
        )
        grouped = [0, spec.kv_heads, spec.heads // spec.kv_heads, -1, spec.head_dim]
        across = g.op("Transpose", keys, perm=[0, 1, 2, 4, 3])
        scores = g.op("MatMul", g.op("Reshape", scaled, g.whole(grouped)), across)
        weights = g.op("Softmax", g.op("Add", scores, self._mask), axis=-1)
        mixed = g.op("MatMul", weights, values)
        by_head = g.op("Reshape", mixed, g.whole([0, spec.heads, -1, spec.head_dim]))
        return heads.together(by_head)

    def _places(self, slots: str, lists: str, length: str) -> str:
        """Find where in the list the tokens of each row and head go: (B, kv_heads, T, 1)."""
        g = self._graph
        first = g.op("Mul", g.op("Range", g.whole(0), lists, g.whole(1)), length)
        by_head = g.op("Reshape", first, g.whole([-1, self._spec.kv_heads, 1]))
        places = g.op("Add", by_head, g.op("Unsqueeze", slots, g.whole([1])))
        return g.op("Unsqueeze", places, g.whole([-1]))

    def _updated(self, row: str, new: str) -> str:
        """Write in place, as nothing lies between input and output; then view the rows.

        The view is (B, kv_heads, 1, length, head_dim), to go with each head of a group.
        """
        g, spec = self._graph, self._spec
        written = g.op("ScatterND", row, self._written, new, out=f"{row}_out")
        by_row = g.whole([spec.kv_heads, 1, -1, spec.head_dim])
        return g.op("Reshape", written, g.op("Concat", self._rows, by_row, axis=0))


class KvUpdateAttention:
    """TensorScatter, then Attention with a mask: what TensorRT updates in place and fuses.

    The mask says all: TensorRT ignores `nonpad_kv_seqlen` without a word.
    """

    opset = 24

    def __init__(self, graph: Nodes, spec: ModelSpec, block_size: int) -> None:
        self._graph = graph
        self._spec = spec
        self._block_size = block_size
        self._heads = Heads(graph, spec)

    def begin(self) -> None:
        """Declare positions and rows, and mask every key that a token does not see."""
        g, spec = self._graph, self._spec
        positions = g.index_input("positions", ["B", "T"])
        self._starts = g.index_input("starts", ["B"])
        self._heads.begin(positions)
        _declare_rows(g, spec, self._block_size)
        keys = g.constant("key positions", np.arange(self._block_size))
        queries = g.op("Unsqueeze", positions, g.whole([1, 3]))
        self._mask = visible(g, spec, keys, queries)

    def attend(self, layer: int, query: str, key: str, value: str) -> str:
        """Write the new keys and values from each row's start, then attend over the rows."""
        g, spec, heads = self._graph, self._spec, self._heads
        keys = self._updated(f"keys_{layer}", heads.rotated(key, spec.kv_heads))
        values = self._updated(f"values_{layer}", heads.apart(value, spec.kv_heads))
        mixed = g.op(
            "Attention",
            heads.rotated(query, spec.heads),
            keys,
            values,
            self._mask,
            scale=spec.head_dim**-0.5,
        )
        return heads.together(mixed)

    def _updated(self, row: str, new: str) -> str:
        return self._graph.op(
            "TensorScatter", row, new, self._starts, out=f"{row}_out", axis=2, mode="linear"
        )


class GroupQueryAttention:
    """ONNX Runtime's own operator: it rotates, appends in place and attends in one call.

    Of row b, `counts[b]` tokens are new, and `lengths[b] + 1` are there once they are.
    """

    opset = 23

    def __init__(self, graph: Nodes, spec: ModelSpec, block_size: int) -> None:
        self._graph = graph
        self._spec = spec
        self._block_size = block_size

    def begin(self) -> None:
        """Declare lengths and rows; the operator masks by them."""
        g, spec = self._graph, self._spec
        g.input("lengths", TensorProto.INT32, ["B"])
        g.input("counts", TensorProto.INT32, ["B"])
        g.input("total", TensorProto.INT32, [])
        cos, sin = rotary_tables(spec)
        self._tables = g.real("cos", cos), g.real("sin", sin)
        _declare_rows(g, spec, self._block_size)

    def attend(self, layer: int, query: str, key: str, value: str) -> str:
        """Append the new tokens and attend over the rows."""
        spec = self._spec
        rows = [f"keys_{layer}", f"values_{layer}"]
        cached = [*rows, "lengths", "total", *self._tables]
        absent = [""] * 7  # positions, bias, sinks, scales, norms: not used or not on the CPU
        return self._graph.ops(
            "GroupQueryAttention",
            *(query, key, value, *cached, *absent, "counts"),
            outs=["", *(f"{row}_out" for row in rows)],
            domain=CONTRIB,
            num_heads=spec.heads,
            kv_num_heads=spec.kv_heads,
            do_rotary=1,
            local_window_size=spec.sliding_window or -1,
            scale=spec.head_dim**-0.5,
        )[0]


def _declare_rows(g: Nodes, spec: ModelSpec, block_size: int) -> None:
    shape: list[str | int] = ["B", spec.kv_heads, block_size, spec.head_dim]
    for name in kv_names(spec):
        g.input(name, g.float_type, shape)
        g.output(f"{name}_out", g.float_type, shape)
