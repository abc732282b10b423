"""Quantised checkpoints in the compressed-tensors layout that other servers read, too.

Three of its formats are known: whole numbers of 4 or 8 bits in groups, packed into int32
(`pack-quantized`); INT8 weights with a fixed scale for what enters each matrix
(`int-quantized`); and the same in FP8 E4M3 (`float-quantized`). Reading gives the values that
the numbers stand for, in float32; the runtime rounds them to the very same numbers again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from inference.models.precision import Precision

INPUT_SCALE, WEIGHT_SCALE = "input_scale", "weight_scale"  # after the name of a layer
_WORD = 32
_WHOLE_OUTPUT = -1  # a group_size that stands for none
_SMALLEST_SCALE = np.float32(6e-8)  # of float16, above zero
_CLIPPINGS = (0.95, 0.9, 0.875, 0.85, 0.8, 0.75)
FP8 = np.dtype(ml_dtypes.float8_e4m3fn)
_WHOLE = (np.dtype(np.int8), FP8)
LARGEST = {Precision.INT4: 7.0, Precision.INT8: 127.0, Precision.INT8_STATIC: 127.0}
LARGEST[Precision.FP8] = 448.0
_BITS = {Precision.INT4: 4}  # the others have 8
_FORMATS = {
    Precision.INT4: "pack-quantized",
    Precision.INT8: "pack-quantized",
    Precision.INT8_STATIC: "int-quantized",
    Precision.FP8: "float-quantized",
}
# Layers that are left as they are; the others match nothing but what sees images.
_IGNORED = ("lm_head", "re:.*vision_tower.*", "re:.*multi_modal_projector.*")
_PARTS = ("weight_packed", "weight_scale", "weight_shape")


@dataclass(frozen=True, slots=True)
class Quantization:
    """How the matrices of a checkpoint are kept."""

    precision: Precision
    group: int | None = None  # inputs that share a scale; None: all of an output

    @property
    def bits(self) -> int:
        """Bits of one weight."""
        return _BITS.get(self.precision, 8)

    @property
    def is_static(self) -> bool:
        """Whether activations are rounded, too, by scales from calibration."""
        return self.precision in (Precision.INT8_STATIC, Precision.FP8)


def quantization_of(config: Mapping[str, Any]) -> Quantization | None:
    """Read config.json's `quantization_config`; ValueError says what is not supported in it."""
    stated = config.get("quantization_config")
    if stated is None:
        return None
    method = stated.get("quant_method") if isinstance(stated, Mapping) else stated
    if not isinstance(stated, Mapping) or method != "compressed-tensors":
        raise ValueError(
            f"quantization_config {method!r} is not supported, only 'compressed-tensors'; take "
            "the checkpoint that it was made from, in float16, bfloat16 or float32"
        )
    groups = list((stated.get("config_groups") or {}).values())
    if len(groups) != 1:
        raise ValueError(f"expected one of quantization_config's config_groups, got {len(groups)}")
    return _quantization(
        stated.get("format"), groups[0].get("weights") or {}, groups[0].get("input_activations")
    )


def describe(quantization: Quantization) -> dict[str, Any]:
    """Return the `quantization_config` that says how matrices are kept."""
    kind = "float" if quantization.precision is Precision.FP8 else "int"
    weights = {
        "num_bits": quantization.bits,
        "type": kind,
        "symmetric": True,
        "strategy": "group" if quantization.group else "channel",
        "group_size": quantization.group,
        "dynamic": False,
    }
    inputs = {
        "num_bits": 8,
        "type": kind,
        "symmetric": True,
        "strategy": "tensor",
        "dynamic": False,
    }
    return {
        "quant_method": "compressed-tensors",
        "format": _FORMATS[quantization.precision],
        "quantization_status": "compressed",
        "ignore": list(_IGNORED),
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": weights,
                "input_activations": inputs if quantization.is_static else None,
                "output_activations": None,
            }
        },
    }


def stored(
    name: str, matrix: NDArray[np.float32], quantization: Quantization
) -> dict[str, NDArray[Any]]:
    """Return a matrix [outputs, inputs] as the tensors it is kept in; `name` ends in .weight."""
    values, scales = rounded(matrix, quantization)
    stem = name.removesuffix("weight")
    if _FORMATS[quantization.precision] != "pack-quantized":
        return {name: values, f"{stem}{WEIGHT_SCALE}": scales}
    return {
        f"{stem}weight_packed": pack(values, quantization.bits),
        f"{stem}{WEIGHT_SCALE}": scales,
        f"{stem}weight_shape": np.array(matrix.shape, np.int64),
    }


def restored(
    tensors: Iterable[tuple[str, NDArray[Any]]], quantization: Quantization
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the tensors of a checkpoint, each quantised matrix as the values it stands for.

    Its scales, shaped (outputs, groups), follow it: with them the same numbers can be found.
    """
    parts: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in tensors:
        stem, _, last = name.rpartition(".")
        if last not in _PARTS and (last != "weight" or array.dtype not in _WHOLE):
            yield name, array
            continue
        own = parts.setdefault(stem, {})
        own[last] = array
        if len(own) == (2 if "weight" in own else len(_PARTS)):
            yield from _restored(stem, parts.pop(stem), quantization)
    if parts:
        stem, own = next(iter(parts.items()))
        raise ValueError(
            f"tensor {stem}.weight is incomplete: only {', '.join(sorted(own))} there"
        )


def pack(values: NDArray[np.int8], bits: int) -> NDArray[np.int32]:
    """Pack rows of signed numbers into int32 words, the first in the lowest bits."""
    per_word = _WORD // bits
    raised = (values.astype(np.int64) + 2 ** (bits - 1)).astype(np.uint32)
    padded = np.pad(raised, ((0, 0), (0, -values.shape[1] % per_word)))
    lanes = padded.reshape(len(values), -1, per_word)
    shifts = np.arange(per_word, dtype=np.uint32) * np.uint32(bits)
    words: NDArray[np.int32] = np.bitwise_or.reduce(lanes << shifts, axis=2).view(np.int32)
    return words


def unpack(words: NDArray[np.int32], bits: int, columns: int) -> NDArray[np.int8]:
    """Undo `pack` for rows of `columns` numbers."""
    shifts = np.arange(_WORD // bits, dtype=np.uint32) * np.uint32(bits)
    lanes = (words.view(np.uint32)[:, :, None] >> shifts) & np.uint32(2**bits - 1)
    raised = lanes.reshape(len(words), words.shape[1] * len(shifts))[:, :columns].astype(np.int16)
    values: NDArray[np.int8] = (raised - 2 ** (bits - 1)).astype(np.int8)
    return values


def rounded(
    matrix: NDArray[np.float32], quantization: Quantization
) -> tuple[NDArray[Any], NDArray[np.float16]]:
    """Return the numbers that a matrix [outputs, inputs] is kept in, and their scales.

    With 4 bits it can pay to clip the largest weight of a group so that the others are closer,
    and the number -8 has no counterpart: of a few scales, each group takes the one with the
    least squared error.
    """
    outputs, inputs = matrix.shape
    grouped = matrix.reshape(outputs, -1, quantization.group or inputs)
    largest = LARGEST[quantization.precision]
    peaks = np.abs(grouped).max(2) / largest
    numbers, scales = _divided(grouped, peaks, quantization)
    for clipping in _CLIPPINGS if quantization.precision is Precision.INT4 else ():
        others, smaller = _divided(grouped, peaks * np.float32(clipping), quantization)
        better = _error(grouped, others, smaller) < _error(grouped, numbers, scales)
        numbers = np.where(better[:, :, None], others, numbers)
        scales = np.where(better, smaller, scales)
    kind = FP8 if quantization.precision is Precision.FP8 else np.dtype(np.int8)
    return numbers.reshape(outputs, inputs).astype(kind), scales


def _divided(
    grouped: NDArray[np.float32], wanted: NDArray[np.float32], quantization: Quantization
) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Divide groups by scales near those wanted, as float16 has them, and round."""
    scales = np.maximum(wanted, _SMALLEST_SCALE).astype(np.float16)
    largest = LARGEST[quantization.precision]
    wide: NDArray[np.float32] = scales[:, :, None].astype(np.float32)
    numbers = grouped / wide
    if quantization.precision is Precision.FP8:
        return np.clip(numbers, -largest, largest), scales
    return np.rint(np.clip(numbers, -largest - 1, largest), dtype=np.float32), scales


def _error(
    grouped: NDArray[np.float32], numbers: NDArray[np.float32], scales: NDArray[np.float16]
) -> NDArray[np.float32]:
    lost = grouped - numbers * scales[:, :, None].astype(np.float32)
    total: NDArray[np.float32] = np.square(lost).sum(2)
    return total


def _quantization(form: Any, weights: Mapping[str, Any], inputs: Any) -> Quantization:
    if not weights.get("symmetric", True) or weights.get("actorder"):
        raise ValueError(
            "quantization_config: only symmetric weights in their order are supported"
        )
    bits, group = weights.get("num_bits"), weights.get("group_size")
    for precision, known in _FORMATS.items():
        if form == known and bits == _BITS.get(precision, 8):
            quantization = Quantization(precision, group if group != _WHOLE_OUTPUT else None)
            _check_inputs(quantization, inputs)
            return quantization
    raise ValueError(f"quantization_config: format {form!r} with {bits} bits is not supported")


def _check_inputs(quantization: Quantization, inputs: Any) -> None:
    """Refuse activations that are rounded by what they are: neighbours would change an answer."""
    is_static = inputs is not None and not inputs.get("dynamic")
    if is_static != quantization.is_static:
        wanted = "fixed scales" if quantization.is_static else "none"
        raise ValueError(
            f"quantization_config: input_activations {inputs!r} are not supported with this "
            f"format, only {wanted}"
        )


def _restored(
    stem: str, own: Mapping[str, NDArray[Any]], quantization: Quantization
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    name = f"{stem}.weight"
    if not {WEIGHT_SCALE} < own.keys():
        raise ValueError(f"tensor {name} is incomplete: only {', '.join(sorted(own))} there")
    values = own["weight"] if "weight" in own else _unpacked(name, own, quantization)
    scales = own[WEIGHT_SCALE].astype(np.float32)
    outputs, inputs = values.shape
    groups = scales.size // max(1, outputs)
    if not groups or groups * outputs != scales.size or inputs % groups:
        raise ValueError(
            f"tensor {name}: scales of shape {scales.shape} do not divide a matrix of shape "
            f"{values.shape}"
        )
    if not np.isfinite(scales).all():
        raise ValueError(f"tensor {name}: its scales are not finite")
    scales = scales.reshape(outputs, groups)
    yield name, values.astype(np.float32) * scales.repeat(inputs // groups, axis=1)
    yield f"{stem}.{WEIGHT_SCALE}", scales


def _unpacked(
    name: str, own: Mapping[str, NDArray[Any]], quantization: Quantization
) -> NDArray[np.int8]:
    words, shape = own["weight_packed"], own["weight_shape"]
    if shape.shape != (2,):
        raise ValueError(f"tensor {name}: expected a weight_shape of 2 numbers, got {shape}")
    outputs, inputs = (int(size) for size in shape)
    wanted = (outputs, -(-inputs * quantization.bits // _WORD))
    if words.shape != wanted or words.dtype != np.int32:
        raise ValueError(
            f"tensor {name}: expected packed words of shape {wanted}, got {words.shape} of "
            f"{words.dtype}"
        )
    return unpack(words, quantization.bits, inputs)
