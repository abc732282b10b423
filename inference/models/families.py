"""What sets each family of decoders apart, and what its config.json may leave unsaid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What transformers assumes where config.json is silent ...
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "llama": {},
    "mistral": {"num_key_value_heads": 8, "sliding_window": 4096},
    "qwen2": {"num_key_value_heads": 32, "sliding_window": 4096, "max_window_layers": 28},
    "qwen3": {
        "num_key_value_heads": 32,
        "head_dim": 128,
        "sliding_window": 4096,
        "max_window_layers": 28,
    },
}
# ... and what it leaves out of a `text_config`, where only what differs is written.
_SIZES: Mapping[str, Any] = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "rms_norm_eps": 1e-6,
}
_LLAMA_SIZES = {"vocab_size": 32_000, "eos_token_id": 2}
_QWEN_SIZES = {
    "vocab_size": 151_936,
    "intermediate_size": 22_016,
    "max_position_embeddings": 32_768,
}
NESTED_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "llama": {
        **_SIZES,
        **_LLAMA_SIZES,
        "intermediate_size": 11_008,
        "max_position_embeddings": 2048,
    },
    "mistral": {
        **_SIZES,
        **_LLAMA_SIZES,
        "intermediate_size": 14_336,
        "max_position_embeddings": 131_072,
    },
    "qwen2": {**_SIZES, **_QWEN_SIZES},
    "qwen3": {**_SIZES, **_QWEN_SIZES},
}
SUPPORTED = (*DEFAULTS, "llava")


@dataclass(frozen=True, slots=True)
class Features:
    """Where a decoder differs from a plain Llama."""

    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    sliding_window: int | None = None


def features(family: str, config: Mapping[str, Any]) -> Features:
    """Return what the config of a decoder, its defaults filled in, says beyond its sizes."""
    return _FEATURES[family](config)


def refuse_unsupported(config: Mapping[str, Any]) -> None:
    """Raise ValueError where a config asks for what no graph of ours computes."""
    family = config.get("model_type")
    if family not in SUPPORTED:
        raise ValueError(
            f"model_type {family!r} is not supported, only {', '.join(SUPPORTED[:-1])} "
            f"and {SUPPORTED[-1]}"
        )
    if config.get("hidden_act") not in ("silu", None):
        raise ValueError(f"hidden_act {config['hidden_act']!r} is not supported, only 'silu'")


def _llama(config: Mapping[str, Any]) -> Features:
    bias = bool(config.get("attention_bias"))
    return Features(qkv_bias=bias, output_bias=bias, mlp_bias=bool(config.get("mlp_bias")))


def _mistral(config: Mapping[str, Any]) -> Features:
    return Features(sliding_window=_window(config["sliding_window"], config))


def _qwen2(config: Mapping[str, Any]) -> Features:
    return Features(qkv_bias=True, sliding_window=_qwen_window(config))


def _qwen3(config: Mapping[str, Any]) -> Features:
    bias = bool(config.get("attention_bias"))
    return Features(
        qkv_bias=bias, output_bias=bias, qk_norm=True, sliding_window=_qwen_window(config)
    )


_FEATURES: Mapping[str, Callable[[Mapping[str, Any]], Features]] = {
    "llama": _llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
}


def _qwen_window(config: Mapping[str, Any]) -> int | None:
    """Return the window of all layers, of none, or refuse a mixture."""
    if not config.get("use_sliding_window") or config["sliding_window"] is None:
        return None
    if all(windowed := _windowed_layers(config)):
        return _window(config["sliding_window"], config)
    if any(windowed):
        raise ValueError(
            f"a sliding_window in {sum(windowed)} of {len(windowed)} layers is not supported, "
            "only in all or none (layer_types, max_window_layers)"
        )
    return None


def _windowed_layers(config: Mapping[str, Any]) -> Sequence[bool]:
    kinds = config.get("layer_types")
    if kinds is not None:
        return [kind == "sliding_attention" for kind in kinds]
    full = int(config["max_window_layers"])  # the window begins above these
    return [layer >= full for layer in range(int(config["num_hidden_layers"]))]


def _window(value: Any, config: Mapping[str, Any]) -> int | None:
    """Return a window that hides something, or None."""
    if value is None:
        return None
    window = int(value)
    if window < 1:
        raise ValueError(f"expected a sliding_window of 1 or more, got {window}")
    return window if window < int(config["max_position_embeddings"]) else None
