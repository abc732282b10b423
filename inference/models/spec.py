"""The shape of a Llama-style decoder, as its config.json states it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ModelError(ValueError):
    """A model folder cannot be served; the message names the file and what is wrong in it."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The sizes and constants that determine every tensor of the network."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    positions: int  # longest context, prompt and answer together
    norm_eps: float
    rope_theta: float
    tied: bool  # the output layer is the embedding, transposed
    stop_tokens: frozenset[int]

    def __post_init__(self) -> None:
        for name in ("vocabulary", "hidden", "layers", "heads", "kv_heads", "feed_forward"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of 1 or more, got {getattr(self, name)}")
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} key-value heads")
        if self.head_dim < 2 or self.head_dim % 2:  # noqa: PLR2004 - rotation pairs dimensions
            raise ValueError(f"expected an even head_dim, got {self.head_dim}")

    @property
    def queries(self) -> int:
        """Width of the queries of all heads."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of the keys (and of the values) of all key-value heads."""
        return self.kv_heads * self.head_dim


def load_spec(folder: Path) -> ModelSpec:
    """Read the shape of the model in a Hugging Face folder."""
    path = folder / "config.json"
    config = read_json(path)
    extra = folder / "generation_config.json"
    more = read_json(extra) if extra.exists() else {}
    try:
        return _spec(config, _stop_tokens(config) | _stop_tokens(more))
    except KeyError as error:
        raise ModelError(f"{path}: the field {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, or say which file is missing or broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file; is this a Hugging Face model folder?") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def _spec(config: Mapping[str, Any], stops: frozenset[int]) -> ModelSpec:
    _refuse_unsupported(config)
    heads = int(config["num_attention_heads"])
    hidden = int(config["hidden_size"])
    return ModelSpec(
        vocabulary=int(config["vocab_size"]),
        hidden=hidden,
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or hidden // heads),
        feed_forward=int(config["intermediate_size"]),
        positions=int(config["max_position_embeddings"]),
        norm_eps=float(config["rms_norm_eps"]),
        rope_theta=_rope_theta(config),
        tied=bool(config.get("tie_word_embeddings", False)),
        stop_tokens=stops,
    )


def _refuse_unsupported(config: Mapping[str, Any]) -> None:
    expected = {
        "model_type": ("llama",),
        "hidden_act": ("silu", None),
        "attention_bias": (False, None),
        "mlp_bias": (False, None),
        "quantization_config": (None,),
    }
    for field, allowed in expected.items():
        if config.get(field) not in allowed:
            raise ValueError(
                f"{field} {config.get(field)!r} is not supported, only {allowed[0]!r}"
            )


def _rope_theta(config: Mapping[str, Any]) -> float:
    # transformers 5 moved the rotary settings into `rope_parameters`.
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise ValueError(f"rotary scaling {kind!r} is not supported, only 'default'")
    return float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0)


def _stop_tokens(config: Mapping[str, Any]) -> frozenset[int]:
    value = config.get("eos_token_id")
    tokens = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(token, int) for token in tokens):
        raise ValueError(f"expected token numbers as eos_token_id, got {value!r}")
    return frozenset(tokens)
