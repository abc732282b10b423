"""The decoder in plain NumPy and double precision: what every runtime must agree with."""

import numpy as np
from numpy.typing import NDArray

from inference.models.checkpoint import Weights
from inference.models.rotary import rotary_tables
from inference.models.spec import ModelSpec

Floats = NDArray[np.float64]


def reference_logits(spec: ModelSpec, weights: Weights, tokens: list[int]) -> Floats:
    """Return the logits after each token, shaped (tokens, vocabulary)."""
    x = weights["model.embed_tokens.weight"][tokens].astype(np.float64)
    for layer in range(spec.layers):
        w = _layer(weights, layer)
        x = x + _attention(spec, w, _normalise(x, w["input_layernorm"], spec.norm_eps))
        x = x + _feed_forward(w, _normalise(x, w["post_attention_layernorm"], spec.norm_eps))
    head = weights["model.embed_tokens.weight" if spec.tied else "lm_head.weight"]
    return _normalise(x, weights["model.norm.weight"], spec.norm_eps) @ head.T


def _layer(weights: Weights, layer: int) -> dict[str, NDArray[np.float32]]:
    prefix = f"model.layers.{layer}."
    return {
        name.removeprefix(prefix).removesuffix(".weight"): array
        for name, array in weights.items()
        if name.startswith(prefix)
    }


def _normalise(x: Floats, scale: NDArray[np.float32], epsilon: float) -> Floats:
    normalised: Floats = x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon)
    return normalised * scale


def _attention(spec: ModelSpec, w: dict[str, NDArray[np.float32]], x: Floats) -> Floats:
    length, group = len(x), spec.heads // spec.kv_heads
    query = _rotate(spec, _by_head(x @ w["self_attn.q_proj"].T, spec.head_dim))
    key = _rotate(spec, _by_head(x @ w["self_attn.k_proj"].T, spec.head_dim)).repeat(group, 0)
    value = _by_head(x @ w["self_attn.v_proj"].T, spec.head_dim).repeat(group, 0)
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(spec.head_dim)
    mixed = _softmax(np.where(np.tri(length, dtype=bool), scores, -np.inf)) @ value
    return mixed.transpose(1, 0, 2).reshape(length, -1) @ w["self_attn.o_proj"].T


def _by_head(x: Floats, head_dim: int) -> Floats:
    return x.reshape(len(x), -1, head_dim).transpose(1, 0, 2)


def _rotate(spec: ModelSpec, x: Floats) -> Floats:
    """Rotate the first half of each head against its second half, as Hugging Face does."""
    cos, sin = (table[: x.shape[1]] for table in rotary_tables(spec))
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def _softmax(scores: Floats) -> Floats:
    raised: Floats = np.exp(scores - scores.max(-1, keepdims=True))
    weights: Floats = raised / raised.sum(-1, keepdims=True)
    return weights


def _feed_forward(w: dict[str, NDArray[np.float32]], x: Floats) -> Floats:
    gate = x @ w["mlp.gate_proj"].T
    opened: Floats = gate / (1 + np.exp(-gate)) * (x @ w["mlp.up_proj"].T)
    return opened @ w["mlp.down_proj"].T
