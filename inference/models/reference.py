"""The decoder in plain NumPy and double precision: what every runtime must agree with."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.models.checkpoint import Weights
from inference.models.rotary import rotary_tables
from inference.models.spec import ModelSpec

Floats = NDArray[np.float64]


def reference_logits(
    spec: ModelSpec,
    weights: Weights,
    tokens: Sequence[int],
    *,
    images: Mapping[int, NDArray[np.float32]] | None = None,
) -> Floats:
    """Return the logits after each token, shaped (tokens, vocabulary).

    `images` holds embeddings, by position, that stand in for those of the tokens there.
    """
    x = weights["model.embed_tokens.weight"][list(tokens)].astype(np.float64)
    for position, embedding in (images or {}).items():
        x[position] = embedding
    for layer in range(spec.layers):
        w = _layer(weights, layer)
        x = x + _attention(spec, w, _normalise(spec, x, w["input_layernorm.weight"]))
        x = x + _feed_forward(w, _normalise(spec, x, w["post_attention_layernorm.weight"]))
    head = weights["model.embed_tokens.weight" if spec.tied else "lm_head.weight"]
    return _normalise(spec, x, weights["model.norm.weight"]) @ head.T


def _layer(weights: Weights, layer: int) -> Weights:
    prefix = f"model.layers.{layer}."
    return {
        name.removeprefix(prefix): array
        for name, array in weights.items()
        if name.startswith(prefix)
    }


def _normalise(spec: ModelSpec, x: Floats, scale: NDArray[np.float32]) -> Floats:
    normalised: Floats = x / np.sqrt((x * x).mean(-1, keepdims=True) + spec.norm_eps)
    return normalised * scale


def _project(w: Weights, name: str, x: Floats) -> Floats:
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", np.float32(0))


def _attention(spec: ModelSpec, w: Weights, x: Floats) -> Floats:
    length, group = len(x), spec.heads // spec.kv_heads
    query, key, value = (
        _by_head(_project(w, f"self_attn.{one}_proj", x), spec.head_dim) for one in "qkv"
    )
    if spec.qk_norm:
        query = _normalise(spec, query, w["self_attn.q_norm.weight"])
        key = _normalise(spec, key, w["self_attn.k_norm.weight"])
    query, key = _rotate(spec, query), _rotate(spec, key).repeat(group, 0)
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(spec.head_dim)
    seen = np.where(_seen(length, spec.sliding_window), scores, -np.inf)
    mixed = _softmax(seen) @ value.repeat(group, 0)
    return _project(w, "self_attn.o_proj", mixed.transpose(1, 0, 2).reshape(length, -1))


def _seen(length: int, window: int | None) -> NDArray[np.bool_]:
    """Return which keys (columns) each token (row) sees: itself, and before it in the window."""
    back = np.arange(length)[:, None] - np.arange(length)
    return (back >= 0) & (back < (window or length))


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


def _feed_forward(w: Weights, x: Floats) -> Floats:
    gate = _project(w, "mlp.gate_proj", x)
    opened: Floats = gate / (1 + np.exp(-gate)) * _project(w, "mlp.up_proj", x)
    return _project(w, "mlp.down_proj", opened)
