"""The decoder as one ONNX graph of standard operators, over a paged KV pool.

One call computes a ragged batch: B rows of up to T new tokens each, prefill and decode alike.
The pool of each layer is a graph input that ScatterND turns into a graph output; a runtime
that binds one buffer to both updates it in place. Rows of a pool are head-major,
(head * blocks + block) * block_size + offset, so that gathering a sequence's blocks needs
no transpose.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inference.models.checkpoint import Weights
from inference.models.rotary import rotary_tables
from inference.models.spec import ModelError, ModelSpec

OPSET = 23
IR_VERSION = 11
_MASKED = np.float32(-1e9)  # finite: a row that sees nothing must not become NaN
_PROTOBUF_LIMIT = 2**31 - 2**20


def build_decoder(spec: ModelSpec, weights: Weights, *, block_size: int) -> onnx.ModelProto:
    """Build the decoder of `spec` with its weights, for KV blocks of `block_size` tokens."""
    if 4 * sum(array.size for array in weights.values()) > _PROTOBUF_LIMIT:
        raise ModelError("the model is larger than 2 GiB in float32, which one ONNX file can hold")
    return _Decoder(spec, weights, block_size).build()


def pool_names(spec: ModelSpec) -> list[str]:
    """Return the names of the KV pools; the updated pool of `name` is the output `name_out`."""
    return [f"{kind}_{layer}" for layer in range(spec.layers) for kind in ("keys", "values")]


@dataclass(slots=True)
class _Nodes:
    """A graph in the making; every method returns the name of the tensor it made."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        result = out or name
        self.nodes.append(helper.make_node(kind, list(inputs), [result], name, **attributes))
        return result

    def split(self, x: str, sizes: list[int]) -> list[str]:
        name = f"Split_{len(self.nodes)}"
        parts = [f"{name}_{part}" for part in range(len(sizes))]
        self.nodes.append(helper.make_node("Split", [x, self.whole(sizes)], parts, name, axis=-1))
        return parts

    def constant(self, name: str, array: NDArray[Any]) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def whole(self, values: int | list[int]) -> str:
        return self.constant(f"whole {values}", np.array(values, np.int64))

    def input(self, name: str, kind: int, shape: list[str | int]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, shape: list[str | int]) -> str:
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name


class _Decoder:
    """The layers of one model, written into one graph."""

    def __init__(self, spec: ModelSpec, weights: Weights, block_size: int) -> None:
        self._spec = spec
        self._weights = weights
        self._block_size = block_size
        self._graph = _Nodes()

    def build(self) -> onnx.ModelProto:
        g, spec = self._graph, self._spec
        self._declare_inputs()
        self._share_indices()
        embedding = g.constant("embedding", self._weights["model.embed_tokens.weight"])
        x = g.op("Gather", embedding, "tokens")
        for layer in range(spec.layers):
            x = self._layer(layer, x)
        self._logits(self._norm(x, "model.norm"))
        return self._model()

    def _declare_inputs(self) -> None:
        g, spec = self._graph, self._spec
        for name in ("tokens", "positions", "slots"):
            g.input(name, TensorProto.INT64, ["B", "T"])
        g.input("block_tables", TensorProto.INT64, ["B", "M"])
        g.input("last", TensorProto.INT64, ["B"])
        for name in pool_names(spec):
            g.input(name, TensorProto.FLOAT, ["P", spec.head_dim])
            g.output(f"{name}_out", ["P", spec.head_dim])

    def _share_indices(self) -> None:
        """Compute once what every layer uses: rotations, pool indices and the causal mask."""
        g, spec, size = self._graph, self._spec, self._block_size
        cos, sin = rotary_tables(spec)
        self._rotations = g.constant("cos", cos), g.constant("sin", sin)
        rows = g.op("Shape", pool_names(spec)[0], start=0, end=1)
        blocks = g.op("Div", rows, g.whole([spec.kv_heads * size]))
        heads = np.arange(spec.kv_heads).reshape(1, -1, 1)
        base = g.op("Mul", g.constant("heads", heads), blocks)  # first block of each head
        self._gathered = g.op("Add", g.op("Unsqueeze", "block_tables", g.whole([1])), base)
        slots = g.op("Unsqueeze", "slots", g.whole([1]))
        written = g.op("Add", slots, g.op("Mul", base, g.whole([size])))
        self._written = g.op("Unsqueeze", written, g.whole([-1]))
        self._new_tokens = g.op("Shape", "tokens", start=1, end=2)
        self._mask = self._causal_mask()

    def _causal_mask(self) -> str:
        """Hide from each new token, at its position, every key of a later position."""
        g = self._graph
        columns = g.op("Shape", "block_tables", start=1, end=2)
        length = g.op("Squeeze", g.op("Mul", columns, g.whole([self._block_size])), g.whole([0]))
        keys = g.op("Range", g.whole(0), length, g.whole(1))
        seen = g.op("LessOrEqual", keys, g.op("Unsqueeze", "positions", g.whole([1, 3])))
        shown = g.constant("shown", np.zeros((), np.float32))
        return g.op("Where", seen, shown, g.constant("masked", np.array(_MASKED)))

    def _layer(self, layer: int, x: str) -> str:
        g, prefix = self._graph, f"model.layers.{layer}."
        normed = self._norm(x, f"{prefix}input_layernorm")
        x = g.op("Add", x, self._attention(layer, f"{prefix}self_attn.", normed))
        normed = self._norm(x, f"{prefix}post_attention_layernorm")
        return g.op("Add", x, self._feed_forward(f"{prefix}mlp.", normed))

    def _attention(self, layer: int, prefix: str, x: str) -> str:
        g, spec = self._graph, self._spec
        names = [f"{prefix}{kind}_proj.weight" for kind in "qkv"]
        fused = np.concatenate([self._weights[name] for name in names]).T
        projected = g.op("MatMul", x, g.constant(f"{prefix}qkv", fused))
        query, key, value = g.split(projected, [spec.queries, spec.keys, spec.keys])
        query = self._rotated(self._by_head(query, spec.heads))
        key = self._rotated(self._by_head(key, spec.kv_heads))
        keys = self._paged(f"keys_{layer}", key)
        values = self._paged(f"values_{layer}", self._by_head(value, spec.kv_heads))
        mixed = self._attend(query, keys, values)
        return g.op("MatMul", mixed, self._matrix(f"{prefix}o_proj"))

    def _by_head(self, x: str, heads: int) -> str:
        g = self._graph
        by_head = g.op("Reshape", x, g.whole([0, 0, heads, self._spec.head_dim]))
        return g.op("Transpose", by_head, perm=[0, 2, 1, 3])

    def _rotated(self, x: str) -> str:
        return self._graph.op("RotaryEmbedding", x, *self._rotations, "positions")

    def _paged(self, pool: str, new: str) -> str:
        """Write the new rows into the pool, then read each sequence's blocks back in order.

        Nothing may stand between the pool's input, ScatterND and the pool's output, or the
        runtime copies the whole pool at every call.
        """
        g, spec = self._graph, self._spec
        updated = g.op("ScatterND", pool, self._written, new, out=f"{pool}_out")
        blocks = g.op("Reshape", updated, g.whole([-1, self._block_size * spec.head_dim]))
        return g.op(
            "Reshape",
            g.op("Gather", blocks, self._gathered),
            g.whole([0, spec.kv_heads, -1, spec.head_dim]),
        )

    def _attend(self, query: str, keys: str, values: str) -> str:
        """Mix values by the softmax of scores; the heads of a group stack as rows of their key."""
        g, spec = self._graph, self._spec
        scale = g.constant("scale", np.array(spec.head_dim**-0.5, np.float32))
        scaled = g.op("Mul", query, scale)
        grouped = g.op("Reshape", scaled, g.whole([0, spec.kv_heads, -1, spec.head_dim]))
        scores = g.op("MatMul", grouped, g.op("Transpose", keys, perm=[0, 1, 3, 2]))
        by_head = self._shaped(scores, spec.heads, self._new_tokens, -1)
        weights = g.op("Softmax", g.op("Add", by_head, self._mask), axis=-1)
        rows = g.op("Mul", self._new_tokens, g.whole([spec.heads // spec.kv_heads]))
        mixed = g.op("MatMul", self._shaped(weights, spec.kv_heads, rows, -1), values)
        apart = self._shaped(mixed, spec.heads, self._new_tokens, spec.head_dim)
        return g.op("Reshape", g.op("Transpose", apart, perm=[0, 2, 1, 3]), g.whole([0, 0, -1]))

    def _shaped(self, x: str, heads: int, rows: str, columns: int) -> str:
        g = self._graph
        shape = g.op("Concat", g.whole([0, heads]), rows, g.whole([columns]), axis=0)
        return g.op("Reshape", x, shape)

    def _feed_forward(self, prefix: str, x: str) -> str:
        g = self._graph
        gate = g.op("MatMul", x, self._matrix(f"{prefix}gate_proj"))
        up = g.op("MatMul", x, self._matrix(f"{prefix}up_proj"))
        opened = g.op("Mul", gate, g.op("Sigmoid", gate))
        return g.op("MatMul", g.op("Mul", opened, up), self._matrix(f"{prefix}down_proj"))

    def _logits(self, x: str) -> None:
        """Score the vocabulary after the last new token of each row, and no other."""
        g, spec = self._graph, self._spec
        last = g.op("GatherND", x, g.op("Unsqueeze", "last", g.whole([-1])), batch_dims=1)
        head = self._matrix("model.embed_tokens" if spec.tied else "lm_head")
        g.op("MatMul", last, head, out=g.output("logits", ["B", spec.vocabulary]))

    def _norm(self, x: str, name: str) -> str:
        scale = self._graph.constant(name, self._weights[f"{name}.weight"])
        return self._graph.op("RMSNormalization", x, scale, axis=-1, epsilon=self._spec.norm_eps)

    def _matrix(self, name: str) -> str:
        return self._graph.constant(f"{name}.T", self._weights[f"{name}.weight"].T)

    def _model(self) -> onnx.ModelProto:
        g = self._graph
        graph = helper.make_graph(
            g.nodes, "decoder", g.inputs, g.outputs, list(g.constants.values())
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="warmfront"
        )
