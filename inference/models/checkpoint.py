"""The weights of a model: safetensors in, float32 arrays under Hugging Face's names out."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple

import ml_dtypes  # noqa: F401 - importing it teaches NumPy, hence safetensors, bfloat16
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from inference.models.quantized import FP8, INPUT_SCALE, WEIGHT_SCALE, Quantization, restored
from inference.models.spec import ModelError, ModelSpec, read_json

Weights = Mapping[str, NDArray[np.float32]]

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_FORMATS = ("F16", "BF16", "F32", "F64")
_EIGHTHS = "F8_E4M3"
_QUANTIZED_FORMATS = (*_FORMATS, "I8", "I32", "I64", _EIGHTHS)
# Written by some exporters, implied by config.json: safe to leave out.
_IMPLIED = ("rotary_emb.inv_freq", "lm_head.weight")
# A LLaVA checkpoint holds a decoder, named as transformers 4 or 5 would, and what sees.
_DECODER_PREFIXES = {
    "language_model.model.": "model.",
    "model.language_model.": "model.",
    "language_model.lm_head.": "lm_head.",
}
_VISION_PREFIXES = (
    "vision_tower.",
    "multi_modal_projector.",
    "model.vision_tower.",
    "model.multi_modal_projector.",
)


class StoredTensor(NamedTuple):
    """One tensor as a checkpoint holds it."""

    path: Path
    name: str
    array: NDArray[np.generic]


def tensor_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor that a decoder of this shape consists of."""
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (spec.vocabulary, spec.hidden),
        "model.norm.weight": (spec.hidden,),
    }
    if not spec.tied:
        shapes["lm_head.weight"] = (spec.vocabulary, spec.hidden)
    for layer in range(spec.layers):
        shapes |= {f"model.layers.{layer}.{name}": s for name, s in _layer_shapes(spec).items()}
    return shapes


def layer_names(spec: ModelSpec) -> list[str]:
    """Return the names of all linear layers, the output layer included."""
    inside = [name.removesuffix(".weight") for name in tensor_shapes(spec) if "_proj.w" in name]
    return [*inside, "lm_head"]


def load_weights(folder: Path, spec: ModelSpec) -> Weights:
    """Read and check every tensor of the decoder; the first that is wrong is named.

    Beside those of `tensor_shapes` there are, of a quantised checkpoint, `<layer>.weight_scale`,
    shaped (outputs, groups), and where activations were calibrated `<layer>.input_scale`.
    """
    expected = Expected(spec)
    weights: dict[str, NDArray[np.float32]] = {}
    for tensor in read_decoder(folder, spec):
        if (array := expected.checked(tensor)) is not None:
            weights[decoder_name(tensor.name)] = array
    refuse_missing(folder, expected.names - weights.keys())
    return weights


class Expected:
    """What a checkpoint of a decoder must hold, once quantised matrices are restored."""

    def __init__(self, spec: ModelSpec) -> None:
        self._shapes = tensor_shapes(spec)
        self._quantised: set[str] = set()
        self.names = set(self._shapes)
        if spec.quantization is not None:
            self._quantised = set(layer_names(spec)) - {"lm_head"}
            if spec.quantization.is_static:
                self.names |= {f"{layer}.{INPUT_SCALE}" for layer in self._quantised}

    def checked(self, tensor: StoredTensor) -> NDArray[np.float32] | None:
        """Return a tensor in float32, None if it is not needed; ModelError if it is wrong."""
        path, stored, array = tensor
        name = decoder_name(stored)
        layer, _, last = name.rpartition(".")
        if layer in self._quantised and last == WEIGHT_SCALE:
            return checked(path, stored, array, array.shape)
        if layer in self._quantised and last == INPUT_SCALE:
            return _input_scale(tensor)
        if name not in self._shapes:
            refuse_unknown(path, stored)
            return None
        return checked(path, stored, array, self._shapes[name])


def _input_scale(tensor: StoredTensor) -> NDArray[np.float32]:
    path, stored, array = tensor
    scale = checked(path, stored, array.reshape(-1), (1,))
    if scale[0] <= 0:
        raise ModelError(f"{path}: tensor {stored} must be above 0, got {scale[0]}")
    return scale


def read_decoder(folder: Path, spec: ModelSpec) -> Iterator[StoredTensor]:
    """Yield the decoder's tensors, those of a quantised checkpoint as what they stand for.

    Beside a model that sees, those of the vision half are left out.
    """
    quantization = spec.quantization
    unseen = () if spec.image_token is None else _VISION_PREFIXES
    tensors = read_tensors(
        folder,
        wanted=lambda stored: not stored.startswith(unseen),
        formats=_FORMATS if quantization is None else _QUANTIZED_FORMATS,
    )
    return tensors if quantization is None else _restored(folder, tensors, quantization)


def read_tensors(
    folder: Path,
    *,
    wanted: Callable[[str], bool] = lambda _: True,
    formats: Sequence[str] = _FORMATS,
) -> Iterator[StoredTensor]:
    """Yield the tensors of a checkpoint whose stored names are wanted, reading no others."""
    for path in _files(folder):
        yield from _read(path, wanted, formats)


def checked(
    path: Path, name: str, array: NDArray[np.generic], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return a tensor in float32 (the same array where it is), or say what is wrong with it."""
    if array.shape != shape:
        raise ModelError(
            f"{path}: tensor {name} has shape {array.shape}, config.json asks for {shape}"
        )
    with np.errstate(over="ignore"):  # float64 beyond float32's range: found below
        values = array.astype(np.float32, copy=False)
    # Not-a-number passes through both, and neither takes memory as isfinite would.
    if values.size and not (np.isfinite(values.min()) and np.isfinite(values.max())):
        raise ModelError(f"{path}: tensor {name} holds values that are not finite")
    return values


def decoder_name(stored: str) -> str:
    """Return a decoder's tensor under the name that it has in a model without images."""
    for prefix, plain in _DECODER_PREFIXES.items():
        if stored.startswith(prefix):
            return plain + stored.removeprefix(prefix)
    return stored


def refuse_unknown(path: Path, stored: str) -> None:
    """Raise ModelError for a tensor that the decoder lacks and its config does not imply."""
    if not stored.endswith(_IMPLIED):
        raise ModelError(f"{path}: tensor {stored} is no part of the model in config.json")


def refuse_missing(folder: Path, names: AbstractSet[str]) -> None:
    """Raise ModelError where tensors were found in no file of the checkpoint."""
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise ModelError(f"{_weights_file(folder)}: tensor {min(names)}{more} missing")


def _layer_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
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
    for has_bias, projections in (
        (spec.qkv_bias, ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        (spec.output_bias, ("self_attn.o_proj",)),
        (spec.mlp_bias, ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")),
    ):
        if has_bias:
            shapes |= {f"{name}.bias": shapes[f"{name}.weight"][:1] for name in projections}
    if spec.qk_norm:
        shapes |= {f"self_attn.{one}_norm.weight": (spec.head_dim,) for one in "qk"}
    return shapes


def _weights_file(folder: Path) -> Path:
    """Return the file that lists a checkpoint's tensors: its index, or the only one."""
    index = folder / INDEX_FILE
    return index if index.exists() else folder / SINGLE_FILE


def _files(folder: Path) -> list[Path]:
    """Return the one weights file, or all that the index names."""
    index = _weights_file(folder)
    if index.name == SINGLE_FILE:
        return [index]
    try:
        names = sorted(set(read_json(index)["weight_map"].values()))
    except (KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{index}: expected a weight_map from tensors to files") from error
    return [folder / Path(name).name for name in names]


def _restored(
    folder: Path, tensors: Iterator[StoredTensor], quantization: Quantization
) -> Iterator[StoredTensor]:
    path = _weights_file(folder)
    try:
        for name, array in restored(((name, array) for _, name, array in tensors), quantization):
            yield StoredTensor(path, name, array)
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error


def _read(
    path: Path, wanted: Callable[[str], bool], formats: Sequence[str]
) -> Iterator[StoredTensor]:
    try:
        with safe_open(path, framework="np") as tensors:
            for name in filter(wanted, tensors.keys()):
                if (kind := tensors.get_slice(name).get_dtype()) not in formats:
                    raise ModelError(
                        f"{path}: tensor {name} is stored as {kind}, expected one of "
                        f"{', '.join(formats)}"
                    )
                is_eighth = kind == _EIGHTHS
                array = _read_eighths(path, name) if is_eighth else tensors.get_tensor(name)
                yield StoredTensor(path, name, array)
    except FileNotFoundError as error:
        raise _not_there(path) from error
    except (SafetensorError, OSError, TypeError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors ({error})") from error


def _read_eighths(path: Path, name: str) -> NDArray[np.generic]:
    """Read a tensor of a format that the library does not give to NumPy; its header is sound."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
        begin, end = entry["data_offsets"]
        file.seek(8 + size + begin)
        return np.frombuffer(file.read(end - begin), FP8).reshape(entry["shape"])


def _not_there(path: Path) -> ModelError:
    if list(path.parent.glob("*.bin")):
        return ModelError(
            f"{path}: no such file; the pickled weights beside it are not read: save the model "
            "with save_pretrained(..., safe_serialization=True)"
        )
    return ModelError(f"{path}: no such file; the weights are missing")
