"""The weights of a model: safetensors in, float32 arrays under Hugging Face's names out."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from inference.models.spec import ModelError, ModelSpec, read_json

Weights = Mapping[str, NDArray[np.float32]]

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
# Written by some exporters, implied by config.json: safe to leave out.
_IMPLIED = ("rotary_emb.inv_freq", "lm_head.weight")


def tensor_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor that a model of this shape consists of."""
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (spec.vocabulary, spec.hidden),
        "model.norm.weight": (spec.hidden,),
    }
    if not spec.tied:
        shapes["lm_head.weight"] = (spec.vocabulary, spec.hidden)
    for layer in range(spec.layers):
        shapes |= {f"model.layers.{layer}.{name}": s for name, s in _layer_shapes(spec).items()}
    return shapes


def load_weights(folder: Path, spec: ModelSpec) -> Weights:
    """Read and check every tensor of the model; the first that is wrong is named."""
    expected = tensor_shapes(spec)
    weights: dict[str, NDArray[np.float32]] = {}
    for path in _files(folder):
        for name, array in _read(path):
            if name in expected:
                weights[name] = _checked(path, name, array, expected[name])
            elif not name.endswith(_IMPLIED):
                raise ModelError(f"{path}: tensor {name} is no part of the model in config.json")
    missing = sorted(expected.keys() - weights.keys())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelError(f"{folder / SINGLE_FILE}: tensor {missing[0]}{more} missing")
    return weights


def _layer_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    return {
        "input_layernorm.weight": (spec.hidden,),
        "self_attn.q_proj.weight": (spec.queries, spec.hidden),
        "self_attn.k_proj.weight": (spec.keys, spec.hidden),
        "self_attn.v_proj.weight": (spec.keys, spec.hidden),
        "self_attn.o_proj.weight": (spec.hidden, spec.queries),
        "post_attention_layernorm.weight": (spec.hidden,),
        "mlp.gate_proj.weight": (spec.feed_forward, spec.hidden),
        "mlp.up_proj.weight": (spec.feed_forward, spec.hidden),
        "mlp.down_proj.weight": (spec.hidden, spec.feed_forward),
    }


def _files(folder: Path) -> list[Path]:
    """Return the one weights file, or all that the index names."""
    index = folder / INDEX_FILE
    if not index.exists():
        return [folder / SINGLE_FILE]
    try:
        names = sorted(set(read_json(index)["weight_map"].values()))
    except (KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{index}: expected a weight_map from tensors to files") from error
    return [folder / Path(name).name for name in names]


def _read(path: Path) -> Iterator[tuple[str, NDArray[np.generic]]]:
    try:
        with safe_open(path, framework="np") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a mapping
                yield name, tensors.get_tensor(name)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file; the weights are missing") from error
    except (SafetensorError, OSError, TypeError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors ({error})") from error


def _checked(
    path: Path, name: str, array: NDArray[np.generic], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    if array.shape != shape:
        raise ModelError(
            f"{path}: tensor {name} has shape {array.shape}, config.json asks for {shape}"
        )
    values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise ModelError(f"{path}: tensor {name} holds values that are not finite")
    return values
