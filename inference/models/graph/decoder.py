"""The decoder of one model as one ONNX graph: Llama, Mistral, Qwen2 and Qwen3.

One call computes a ragged batch: B rows of up to T new tokens each, prefill and decode alike.
`last_rows[b]`, t + T * row, names the token after which row b wants logits. The cached keys and
values are inputs, and outputs once updated; a runtime binds one buffer to both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from inference.models.checkpoint import Weights
from inference.models.graph.attention import Attention
from inference.models.graph.matrices import OUTPUT_LAYER, Matrices, Scales, computed_in
from inference.models.graph.nodes import Nodes
from inference.models.graph.paged import HostKvAttention, PagedAttention
from inference.models.graph.rows import GroupQueryAttention, KvUpdateAttention, RowsAttention
from inference.models.precision import Lowering, Precision
from inference.models.quantized import INPUT_SCALE, WEIGHT_SCALE
from inference.models.spec import ModelSpec

_ATTENTION: dict[Lowering, Callable[[Nodes, ModelSpec, int], Attention]] = {
    Lowering.PAGED: PagedAttention,
    Lowering.HOSTKV: HostKvAttention,
    Lowering.ROWS: RowsAttention,
    Lowering.GQA: GroupQueryAttention,
    Lowering.KVUPDATE: KvUpdateAttention,
}


def build_decoder(
    spec: ModelSpec,
    weights: Weights,
    *,
    block_size: int,
    lowering: Lowering = Lowering.PAGED,
    precision: Precision = Precision.FP32,
    compute: Precision | None = None,
    index_type: int = TensorProto.INT64,
    activation_scales: Mapping[str, float] | None = None,
) -> onnx.ModelProto:
    """Build the decoder of `spec` with its weights, for KV blocks of `block_size` tokens.

    Args:
        spec: The sizes of the model.
        weights: Its tensors.
        block_size: Tokens per KV block; of the lowerings with one row per sequence, per row.
        lowering: How attention reaches its keys and values.
        precision: What the matrices are kept in.
        compute: FP32, FP16 or BF16: what is computed in, and the KV kept in; by default
            float32, or float16 for FP8, where the matrices' own format is none of these.
        index_type: INT64, or INT32 for TensorRT, which has no good int64 inputs.
        activation_scales: For INT8_STATIC and FP8, what the inputs of each layer are divided by,
            by its name; the checkpoint's own where none are given.
    """
    graph = Nodes(computed_in(precision, compute), index_type)
    attention = _ATTENTION[lowering](graph, spec, block_size)
    matrices = Matrices(graph, precision)
    scales = _Scales(weights, activation_scales, has_numbers=precision is spec.stored_precision)
    return _Decoder(spec, weights, graph, attention, matrices, scales=scales).build()


@dataclass(frozen=True, slots=True)
class _Scales:
    """Finds what the layers of a checkpoint are scaled by."""

    weights: Weights
    inputs: Mapping[str, float] | None  # in place of the checkpoint's own
    has_numbers: bool  # the graph keeps the very numbers that the checkpoint holds

    def of(self, layers: Sequence[str]) -> Scales:
        """Return the scales of layers that are joined into one matrix, hence have one input."""
        entering = [scale for layer in layers if (scale := self._input(layer)) is not None]
        own = [self.weights.get(f"{layer}.{WEIGHT_SCALE}") for layer in layers]
        joined = [scale for scale in own if scale is not None]
        is_whole = self.has_numbers and len(joined) == len(layers)
        return Scales(max(entering, default=None), np.concatenate(joined).T if is_whole else None)

    def _input(self, layer: str) -> float | None:
        if self.inputs is not None:
            return self.inputs.get(layer)
        scale = self.weights.get(f"{layer}.{INPUT_SCALE}")
        return None if scale is None else float(scale.item())


class _Decoder:
    """The layers of one model, written into one graph."""

    def __init__(
        self,
        spec: ModelSpec,
        weights: Weights,
        graph: Nodes,
        attention: Attention,
        matrices: Matrices,
        *,
        scales: _Scales,
    ) -> None:
        self._spec = spec
        self._weights = weights
        self._graph = graph
        self._attention = attention
        self._matrices = matrices
        self._scales = scales

    def build(self) -> onnx.ModelProto:
        tokens = self._graph.index_input("tokens", ["B", "T"])
        last_rows = self._graph.index_input("last_rows", ["B"])
        self._attention.begin()
        x = self._embedded(tokens)
        for layer in range(self._spec.layers):
            x = self._layer(layer, x)
        self._logits(self._norm(x, "model.norm"), last_rows)
        return self._graph.model(self._attention.opset)

    def _embedded(self, tokens: str) -> str:
        """Look tokens up, and put the embeddings of images in their place."""
        g, spec = self._graph, self._spec
        table = g.real("model.embed_tokens", self._weights["model.embed_tokens.weight"])
        x = g.op("Gather", table, tokens)
        if spec.image_token is None:
            return x
        rows = g.op("Unsqueeze", g.index_input("image_rows", ["K"]), g.whole([1]))
        values = g.input("image_values", TensorProto.FLOAT, ["K", spec.hidden])
        flat = g.op("Reshape", x, g.whole([-1, spec.hidden]))
        placed = g.op("ScatterND", flat, rows, g.op("CastLike", values, table))
        return g.op("Reshape", placed, g.op("Shape", x))

    def _layer(self, layer: int, x: str) -> str:
        g, prefix = self._graph, f"model.layers.{layer}."
        normed = self._norm(x, f"{prefix}input_layernorm")
        x = g.op("Add", x, self._self_attention(layer, f"{prefix}self_attn.", normed))
        normed = self._norm(x, f"{prefix}post_attention_layernorm")
        return g.op("Add", x, self._feed_forward(f"{prefix}mlp.", normed))

    def _self_attention(self, layer: int, prefix: str, x: str) -> str:
        spec = self._spec
        projected = self._fused(x, f"{prefix}qkv_proj", [f"{prefix}{kind}_proj" for kind in "qkv"])
        query, key, value = self._graph.split(projected, [spec.queries, spec.keys, spec.keys])
        if spec.qk_norm:
            query = self._norm_heads(query, f"{prefix}q_norm")
            key = self._norm_heads(key, f"{prefix}k_norm")
        mixed = self._attention.attend(layer, query, key, value)
        return self._fused(mixed, f"{prefix}o_proj", [f"{prefix}o_proj"])

    def _feed_forward(self, prefix: str, x: str) -> str:
        g = self._graph
        gate = self._fused(x, f"{prefix}gate_proj", [f"{prefix}gate_proj"])
        up = self._fused(x, f"{prefix}up_proj", [f"{prefix}up_proj"])
        opened = g.op("Mul", gate, g.op("Sigmoid", gate))
        return self._fused(g.op("Mul", opened, up), f"{prefix}down_proj", [f"{prefix}down_proj"])

    def _logits(self, x: str, last_rows: str) -> None:
        """Score the vocabulary after the last new token of each row, and no other."""
        g, spec = self._graph, self._spec
        flat = g.op("Reshape", x, g.whole([-1, spec.hidden]))
        last = g.op("Gather", flat, last_rows)
        head = self._weights["model.embed_tokens.weight" if spec.tied else "lm_head.weight"].T
        logits = g.output("logits", TensorProto.FLOAT, ["B", spec.vocabulary])
        scales, out = self._scales.of([OUTPUT_LAYER]), logits if g.floats == np.float32 else ""
        scores = self._matrices.product(last, OUTPUT_LAYER, head, scales=scales, out=out)
        if scores != logits:
            g.op("Cast", scores, out=logits, to=TensorProto.FLOAT)

    def _fused(self, x: str, name: str, parts: list[str]) -> str:
        """Apply several layers of one input as one product, with their biases if there are any."""
        matrix, scales = self._joined(parts, "weight").T, self._scales.of(parts)
        product = self._matrices.product(x, name, matrix, scales=scales)
        if f"{parts[0]}.bias" not in self._weights:
            return product
        bias = self._graph.real(f"{name}.bias", self._joined(parts, "bias"))
        return self._graph.op("Add", product, bias)

    def _joined(self, parts: list[str], kind: str) -> NDArray[np.float32]:
        return np.concatenate([self._weights[f"{part}.{kind}"] for part in parts])

    def _norm_heads(self, x: str, name: str) -> str:
        """Normalise each head of each token by itself."""
        g = self._graph
        by_head = g.op("Reshape", x, g.whole([0, 0, -1, self._spec.head_dim]))
        return g.op("Reshape", self._norm(by_head, name), g.whole([0, 0, -1]))

    def _norm(self, x: str, name: str) -> str:
        scale = self._graph.real(name, self._weights[f"{name}.weight"])
        return self._graph.op("RMSNormalization", x, scale, axis=-1, epsilon=self._spec.norm_eps)
