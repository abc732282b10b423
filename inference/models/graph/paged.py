"""Attention over pools of KV blocks, gathered by block table; every operator is standard.

Rows of a pool are head-major, (head * blocks + block) * block_size + offset, so that gathering
a sequence's blocks needs no transpose.
"""

import numpy as np

from inference.models.graph.attention import Heads, kv_names, masked, visible
from inference.models.graph.nodes import Nodes
from inference.models.spec import ModelSpec


class _Pools:
    """Reads the blocks of a batch out of pools, and weighs what it read."""

    opset = 23

    def __init__(self, graph: Nodes, spec: ModelSpec, block_size: int) -> None:
        self._graph = graph
        self._spec = spec
        self._block_size = block_size
        self._heads = Heads(graph, spec)

    def _declare(self) -> None:
        """Declare positions, block tables and pools, and find the blocks of each head."""
        g, spec = self._graph, self._spec
        self._positions = g.index_input("positions", ["B", "T"])
        self._tables = g.index_input("block_tables", ["B", "M"])
        for name in kv_names(spec):
            g.input(name, g.float_type, ["P", spec.head_dim])
        self._heads.begin(self._positions)
        self._new_tokens = g.op("Shape", "tokens", start=1, end=2)
        rows = g.op("Shape", kv_names(spec)[0], start=0, end=1)
        blocks = g.op("Div", rows, g.whole([spec.kv_heads * self._block_size]))
        heads = g.constant("heads", np.arange(spec.kv_heads).reshape(1, -1, 1))
        self._base = g.op("Mul", heads, blocks)  # first block of each head
        self._gathered = g.op("Add", g.op("Unsqueeze", self._tables, g.whole([1])), self._base)

    def _key_positions(self) -> str:
        """Return the positions of the gathered keys, shaped (M * block_size)."""
        g = self._graph
        columns = g.op("Shape", self._tables, start=1, end=2)
        length = g.op("Mul", columns, g.whole([self._block_size]))
        return g.op("Range", g.whole(0), g.op("Squeeze", length, g.whole([0])), g.whole(1))

    def _read(self, pool: str) -> str:
        """Read each sequence's blocks in order: (B, kv_heads, M * block_size, head_dim)."""
        g, spec = self._graph, self._spec
        blocks = g.op("Reshape", pool, g.whole([-1, self._block_size * spec.head_dim]))
        return g.op(
            "Reshape",
            g.op("Gather", blocks, self._gathered),
            g.whole([0, spec.kv_heads, -1, spec.head_dim]),
        )

    def _stacked(self, query: str) -> str:
        """Stack the queries of a group as rows over their key-value head, scaled."""
        g, spec = self._graph, self._spec
        scaled = g.op("Mul", query, g.real("scale", spec.head_dim**-0.5))
        return g.op("Reshape", scaled, g.whole([0, spec.kv_heads, -1, spec.head_dim]))

    def _scores(self, stacked: str, keys: str) -> str:
        """Return the scores by head of queries: (B, heads, T, keys)."""
        g = self._graph
        scores = g.op("MatMul", stacked, g.op("Transpose", keys, perm=[0, 1, 3, 2]))
        return self._shaped(scores, self._spec.heads, self._new_tokens, -1)

    def _weighed(self, weights: str, values: str) -> str:
        """Mix values by the weights of each head: (B, heads, T, head_dim)."""
        g, spec = self._graph, self._spec
        rows = g.op("Mul", self._new_tokens, g.whole([spec.heads // spec.kv_heads]))
        mixed = g.op("MatMul", self._shaped(weights, spec.kv_heads, rows, -1), values)
        return self._shaped(mixed, spec.heads, self._new_tokens, spec.head_dim)

    def _shaped(self, x: str, heads: int, rows: str, columns: int) -> str:
        g = self._graph
        shape = g.op("Concat", g.whole([0, heads]), rows, g.whole([columns]), axis=0)
        return g.op("Reshape", x, shape)


class PagedAttention(_Pools):
    """Writes the new keys and values into the pools, then attends over what lies there."""

    def begin(self) -> None:
        """Declare slots and updated pools, and find where each head's rows are written."""
        self._declare()
        g, spec = self._graph, self._spec
        slots = g.op("Unsqueeze", g.index_input("slots", ["B", "T"]), g.whole([1]))
        first = g.op("Mul", self._base, g.whole([self._block_size]))
        self._written = g.op("Unsqueeze", g.op("Add", slots, first), g.whole([-1]))
        queries = g.op("Unsqueeze", self._positions, g.whole([1, 3]))
        self._mask = masked(g, visible(g, spec, self._key_positions(), queries))
        for name in kv_names(spec):
            g.output(f"{name}_out", g.float_type, ["P", spec.head_dim])

    def attend(self, layer: int, query: str, key: str, value: str) -> str:
        """Attend over the pools with the new tokens in them."""
        g, spec, heads = self._graph, self._spec, self._heads
        keys = self._updated(f"keys_{layer}", heads.rotated(key, spec.kv_heads))
        values = self._updated(f"values_{layer}", heads.apart(value, spec.kv_heads))
        scores = self._scores(self._stacked(heads.rotated(query, spec.heads)), self._read(keys))
        weights = g.op("Softmax", g.op("Add", scores, self._mask), axis=-1)
        return heads.together(self._weighed(weights, self._read(values)))

    def _updated(self, pool: str, new: str) -> str:
        """Write new rows; nothing may stand between pool, ScatterND and output.

        Bound to one buffer, input and output are then updated in place; with anything between
        them the runtime copies the whole pool at every call.
        """
        return self._graph.op("ScatterND", pool, self._written, new, out=f"{pool}_out")


class HostKvAttention(_Pools):
    """Only reads the pools; new keys and values are outputs, which the runtime appends.

    A sequence's cached tokens are the first `positions[b, 0]` of its blocks; whatever lies
    behind them, in the slots of the new tokens, is not looked at.
    """

    def begin(self) -> None:
        """Declare the new rows, and mask cached and new keys side by side."""
        self._declare()
        g, spec = self._graph, self._spec
        self._cached = g.op("Mul", g.op("Shape", self._tables, start=1, end=2),
                            g.whole([self._block_size]))  # fmt: skip
        hidden = masked(g, g.op("Concat", self._sees_cached(), self._sees_new(), axis=2))
        self._mask = g.op("Unsqueeze", hidden, g.whole([1]))
        for name in kv_names(spec):
            g.output(f"{name}_new", g.float_type, ["B", spec.kv_heads, "T", spec.head_dim])

    def attend(self, layer: int, query: str, key: str, value: str) -> str:
        """Attend over the pools and, beside them, the new tokens."""
        g, spec, heads = self._graph, self._spec, self._heads
        stacked = self._stacked(heads.rotated(query, spec.heads))
        keys = g.op("Identity", heads.rotated(key, spec.kv_heads), out=f"keys_{layer}_new")
        values = g.op("Identity", heads.apart(value, spec.kv_heads), out=f"values_{layer}_new")
        cached = self._scores(stacked, self._read(f"keys_{layer}"))
        scores = g.op("Concat", cached, self._scores(stacked, keys), axis=3)
        weights = g.op("Softmax", g.op("Add", scores, self._mask), axis=-1)
        parts = g.op("Concat", self._cached, self._new_tokens, axis=0)
        old, new = g.ops("Split", weights, parts, outs=["", ""], axis=3)
        mixed = g.op(
            "Add", self._weighed(old, self._read(f"values_{layer}")), self._weighed(new, values)
        )
        return heads.together(mixed)

    def _sees_cached(self) -> str:
        """Tell which cached keys each token sees: (B, T, M * block_size)."""
        g = self._graph
        first = g.op("Slice", self._positions, g.whole([0]), g.whole([1]), g.whole([1]))
        keys = self._key_positions()
        there = g.op("Less", keys, g.op("Unsqueeze", first, g.whole([2])))
        queries = g.op("Unsqueeze", self._positions, g.whole([2]))
        return g.op("And", there, visible(g, self._spec, keys, queries))

    def _sees_new(self) -> str:
        """Tell which new keys each token sees, by column: (B, T, T)."""
        g = self._graph
        length = g.op("Squeeze", self._new_tokens, g.whole([0]))
        columns = g.op("Range", g.whole(0), length, g.whole(1))
        seen = visible(g, self._spec, columns, g.op("Unsqueeze", columns, g.whole([1])))
        rows = g.op("Shape", "tokens", start=0, end=1)
        shape = g.op("Concat", rows, self._new_tokens, self._new_tokens, axis=0)
        return g.op("Expand", seen, shape)
