"""What the lowerings of attention share: cached tensors, heads, rotation and what is masked."""

from typing import Protocol

import numpy as np

from inference.models.graph.nodes import Nodes
from inference.models.rotary import rotary_tables
from inference.models.spec import ModelSpec


class Attention(Protocol):
    """One way to write attention over cached keys and values."""

    opset: int

    def begin(self) -> None:
        """Declare the inputs and compute once what every layer uses."""
        ...

    def attend(self, layer: int, query: str, key: str, value: str) -> str:
        """Mix the values of the context; all are shaped (B, T, heads * head_dim)."""
        ...


def kv_names(spec: ModelSpec) -> list[str]:
    """Return the cached inputs of a graph; the updated `name` is the output `name_out`."""
    return [f"{kind}_{layer}" for layer in range(spec.layers) for kind in ("keys", "values")]


class Heads:
    """Moves between (B, T, heads * head_dim) and (B, heads, T, head_dim), rotating on the way."""

    def __init__(self, graph: Nodes, spec: ModelSpec) -> None:
        self._graph = graph
        self._spec = spec

    def begin(self, positions: str) -> None:
        """Keep the tables of rotation, and the positions to rotate to."""
        cos, sin = rotary_tables(self._spec)
        self._rotation = self._graph.real("cos", cos), self._graph.real("sin", sin), positions

    def apart(self, x: str, heads: int) -> str:
        """Lay heads apart: (B, heads, T, head_dim)."""
        g = self._graph
        by_head = g.op("Reshape", x, g.whole([0, 0, heads, self._spec.head_dim]))
        return g.op("Transpose", by_head, perm=[0, 2, 1, 3])

    def rotated(self, x: str, heads: int) -> str:
        """Lay heads apart and rotate each to its positions."""
        return self._graph.op("RotaryEmbedding", self.apart(x, heads), *self._rotation)

    def together(self, x: str) -> str:
        """Lay the heads of each token side by side again."""
        g = self._graph
        return g.op("Reshape", g.op("Transpose", x, perm=[0, 2, 1, 3]), g.whole([0, 0, -1]))


def visible(g: Nodes, spec: ModelSpec, keys: str, queries: str) -> str:
    """Tell which keys each query sees: none after it, none before its window.

    Both are positions in one sequence; their shapes are broadcast against each other.
    """
    causal = g.op("LessOrEqual", keys, queries)
    if spec.sliding_window is None:
        return causal
    far = g.op("Sub", queries, g.whole(spec.sliding_window))
    return g.op("And", causal, g.op("Greater", keys, far))


def masked(g: Nodes, seen: str) -> str:
    """Turn what is seen into what is added to scores: 0, or a number that leaves no weight."""
    # Finite, and within float16: a row that sees nothing must not become NaN.
    low = -6e4 if g.floats == np.float16 else -1e9
    return g.op("Where", seen, g.real("shown", 0.0), g.real("hidden", low))
