"""Vision tower and projector as one ONNX graph: pixels in, the decoder's embeddings out."""

import numpy as np
import onnx
from onnx import TensorProto

from inference.models.checkpoint import Weights
from inference.models.graph.nodes import Nodes
from inference.models.vision import VisionSpec

OPSET = 23
PIXELS, EMBEDDINGS = "pixels", "embeddings"


def build_encoder(spec: VisionSpec, weights: Weights) -> onnx.ModelProto:
    """Build `pixels` [N, channels, size, size] -> `embeddings` [N, tokens, text_hidden]."""
    return _Encoder(spec, weights).build()


class _Encoder:
    """The layers of one tower, written into one graph of standard operators."""

    def __init__(self, spec: VisionSpec, weights: Weights) -> None:
        self._spec = spec
        self._weights = weights
        self._graph = Nodes()

    def build(self) -> onnx.ModelProto:
        g, spec = self._graph, self._spec
        size = spec.image_size
        pixels = g.input(PIXELS, TensorProto.FLOAT, ["N", spec.channels, size, size])
        x = self._placed(self._patches(pixels))
        if spec.has_class:
            x = self._norm(x, "pre_layrnorm")
        for layer in range(spec.depth):
            x = self._layer(f"encoder.layers.{layer}.", x)
        self._projected(self._selected(x))
        return g.model(OPSET)

    def _patches(self, pixels: str) -> str:
        """Turn each patch into one vector, row by row: [N, patches, hidden]."""
        g, prefix = self._graph, "embeddings.patch_embedding."
        inputs = [self._weight(f"{prefix}weight")]
        if f"{prefix}bias" in self._weights:
            inputs.append(self._weight(f"{prefix}bias"))
        side = self._spec.patch_size
        grid = g.op("Conv", pixels, *inputs, strides=[side, side])
        flat = g.op("Reshape", grid, g.whole([0, self._spec.hidden, self._spec.patches]))
        return g.op("Transpose", flat, perm=[0, 2, 1])

    def _placed(self, patches: str) -> str:
        """Put CLIP's class token first, and add to all where they stand."""
        g, spec = self._graph, self._spec
        x = patches
        if spec.has_class:
            token = self._weights["embeddings.class_embedding"].reshape(1, 1, -1)
            shape = g.op(
                "Concat", g.op("Shape", patches, end=1), g.whole([1, spec.hidden]), axis=0
            )
            each = g.op("Expand", g.real("class token", token), shape)
            x = g.op("Concat", each, patches, axis=1)
        return g.op("Add", x, self._weight("embeddings.position_embedding.weight"))

    def _layer(self, prefix: str, x: str) -> str:
        g = self._graph
        normed = self._norm(x, f"{prefix}layer_norm1")
        x = g.op("Add", x, self._attention(f"{prefix}self_attn.", normed))
        normed = self._norm(x, f"{prefix}layer_norm2")
        wide = self._linear(normed, f"{prefix}mlp.fc1")
        opened = self._activated(wide, self._spec.activation)
        return g.op("Add", x, self._linear(opened, f"{prefix}mlp.fc2"))

    def _attention(self, prefix: str, x: str) -> str:
        """Let every patch read from all patches."""
        g = self._graph
        query = self._by_head(self._linear(x, f"{prefix}q_proj"), [0, 2, 1, 3])
        keys = self._by_head(self._linear(x, f"{prefix}k_proj"), [0, 2, 3, 1])
        values = self._by_head(self._linear(x, f"{prefix}v_proj"), [0, 2, 1, 3])
        scaled = g.op("Mul", query, g.real("scale", self._spec.head_dim**-0.5))
        weights = g.op("Softmax", g.op("MatMul", scaled, keys), axis=-1)
        mixed = g.op("Transpose", g.op("MatMul", weights, values), perm=[0, 2, 1, 3])
        return self._linear(g.op("Reshape", mixed, g.whole([0, 0, -1])), f"{prefix}out_proj")

    def _by_head(self, x: str, order: list[int]) -> str:
        g, spec = self._graph, self._spec
        apart = g.op("Reshape", x, g.whole([0, 0, spec.heads, spec.head_dim]))
        return g.op("Transpose", apart, perm=order)

    def _selected(self, x: str) -> str:
        g, spec = self._graph, self._spec
        if not spec.has_class or spec.keeps_class:
            return x
        ends = g.whole([1]), g.whole([np.iinfo(np.int32).max]), g.whole([1])
        return g.op("Slice", x, *ends)

    def _projected(self, features: str) -> None:
        g, spec, prefix = self._graph, self._spec, "multi_modal_projector.linear_"
        opened = self._activated(self._linear(features, f"{prefix}1"), spec.projector_activation)
        shape: list[str | int] = ["N", spec.tokens, spec.text_hidden]
        self._linear(opened, f"{prefix}2", out=g.output(EMBEDDINGS, TensorProto.FLOAT, shape))

    def _activated(self, x: str, kind: str) -> str:
        g = self._graph
        if kind == "relu":
            return g.op("Relu", x)
        if kind == "quick_gelu":
            steep = g.op("Mul", x, g.real("quick", 1.702))  # x * sigmoid(1.702 x)
            return g.op("Mul", x, g.op("Sigmoid", steep))
        return g.op("Gelu", x, approximate="tanh" if kind == "gelu_pytorch_tanh" else "none")

    def _linear(self, x: str, name: str, out: str | None = None) -> str:
        g = self._graph
        matrix = g.real(f"{name}.weight.T", self._weights[f"{name}.weight"].T)
        if f"{name}.bias" not in self._weights:
            return g.op("MatMul", x, matrix, out=out)
        return g.op("Add", g.op("MatMul", x, matrix), self._weight(f"{name}.bias"), out=out)

    def _norm(self, x: str, name: str) -> str:
        scale, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._graph.op(
            "LayerNormalization", x, scale, bias, axis=-1, epsilon=self._spec.norm_eps
        )

    def _weight(self, name: str) -> str:
        return self._graph.real(name, self._weights[name])
