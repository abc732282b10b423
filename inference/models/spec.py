"""The shape of a Llama-style decoder, as its config.json states it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from inference.models.families import (
    DEFAULTS,
    NESTED_DEFAULTS,
    features,
    refuse_unsupported,
)
from inference.models.precision import Precision
from inference.models.quantized import Quantization, quantization_of
from inference.models.rope_scaling import RopeScaling, rope_settings

_COUNTS = ("vocabulary", "hidden", "layers", "heads", "kv_heads", "feed_forward", "positions")


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
    family: str = "llama"  # the decoder's model_type: LLaVA's is that of its text_config
    qkv_bias: bool = False
    output_bias: bool = False  # of attention's output projection
    mlp_bias: bool = False
    qk_norm: bool = False  # queries and keys are normalised per head (Qwen3)
    sliding_window: int | None = None  # positions that a token sees back, itself included
    rope_scaling: RopeScaling | None = None
    quantization: Quantization | None = None  # of the checkpoint, where it is quantised
    image_token: int | None = None  # stands in the prompt where an image's embeddings go

    def __post_init__(self) -> None:
        for name in _COUNTS:
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
    def stored_precision(self) -> Precision | None:
        """What a quantised checkpoint is kept in, hence best run in."""
        return None if self.quantization is None else self.quantization.precision

    @property
    def keys(self) -> int:
        """Width of the keys (and of the values) of all key-value heads."""
        return self.kv_heads * self.head_dim


def load_spec(folder: Path) -> ModelSpec:
    """Read the shape of the decoder in a Hugging Face folder."""
    path = folder / "config.json"
    config = read_json(path)
    try:
        decoder = _decoder_config(config)
        stops = _stop_tokens(config) or _stop_tokens(decoder)
        spec = _spec(decoder, stops, _image_token(config))
        quantization = quantization_of(config)
    except KeyError as error:
        raise ModelError(f"{path}: the field {error} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: {error}") from error
    stops |= _more_stop_tokens(folder)
    return replace(spec, stop_tokens=stops, quantization=quantization)


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


def _decoder_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the decoder's part of a config, what the family implies filled in."""
    refuse_unsupported(config)
    if config["model_type"] != "llava":
        return {**DEFAULTS[config["model_type"]], **config}
    text = {"model_type": "llama", **config.get("text_config", {})}
    refuse_unsupported(text)
    family = text["model_type"]
    if family == "llava":
        raise ValueError("text_config: model_type 'llava' is no decoder")
    tied = config.get("tie_word_embeddings") or text.get("tie_word_embeddings", False)
    return {
        **DEFAULTS[family],
        **NESTED_DEFAULTS[family],
        **text,
        "tie_word_embeddings": tied,
    }


def _spec(config: Mapping[str, Any], stops: frozenset[int], image_token: int | None) -> ModelSpec:
    heads, hidden = _whole(config, "num_attention_heads"), _whole(config, "hidden_size")
    theta, scaling = rope_settings(config)
    return ModelSpec(
        vocabulary=_whole(config, "vocab_size"),
        hidden=hidden,
        layers=_whole(config, "num_hidden_layers"),
        heads=heads,
        kv_heads=_whole(config, "num_key_value_heads", heads),
        head_dim=_whole(config, "head_dim", hidden // max(1, heads)),
        feed_forward=_whole(config, "intermediate_size"),
        positions=_whole(config, "max_position_embeddings"),
        norm_eps=float(config["rms_norm_eps"]),
        rope_theta=theta,
        tied=bool(config.get("tie_word_embeddings", False)),
        stop_tokens=stops,
        family=config["model_type"],
        rope_scaling=scaling,
        image_token=image_token,
        **asdict(features(config["model_type"], config)),
    )


def _whole(config: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = config[name] if default is None else config.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, got {value!r}")  # noqa: TRY004 - a file's
    return value


def _image_token(config: Mapping[str, Any]) -> int | None:
    if config["model_type"] != "llava":
        return None
    # Either name is written; 32000 is what LLaVA 1.5 has and transformers assumes.
    name = "image_token_index" if "image_token_index" in config else "image_token_id"
    return _whole(config, name, 32_000)


def _more_stop_tokens(folder: Path) -> frozenset[int]:
    path = folder / "generation_config.json"
    try:
        return _stop_tokens(read_json(path)) if path.exists() else frozenset()
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error


def _stop_tokens(config: Mapping[str, Any]) -> frozenset[int]:
    value = config.get("eos_token_id")
    tokens = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(token, int) for token in tokens):
        raise ValueError(f"expected token numbers as eos_token_id, got {value!r}")
    return frozenset(tokens)
