"""Quantising: the same model in fewer bits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.compression.calibration import input_scales
from inference.compression.compress import Progress
from inference.compression.errors import CompressionError
from inference.compression.output import is_matrix, read_all, write_json, write_weights
from inference.models.checkpoint import decoder_name
from inference.models.precision import Precision
from inference.models.quantized import INPUT_SCALE, LARGEST, Quantization, describe, stored
from inference.models.spec import ModelSpec, load_spec, read_json

TARGETS = tuple(LARGEST)
_GROUPS = {Precision.INT8: 64, Precision.INT4: 32}
_SMALLEST_GROUP = 16


@dataclass(frozen=True, slots=True)
class Quantize:
    """Rounds the matrices of the decoder's layers; embeddings, norms and what sees stay.

    INT8_STATIC and FP8 round activations, too, by scales that are calibrated on the text.
    """

    precision: Precision

    @property
    def method(self) -> str:
        """Name the format."""
        return f"quantise to {self.precision}"

    def check(self, spec: ModelSpec) -> None:
        """Refuse what is no quantised format, and sizes that no group divides."""
        if self.precision not in TARGETS:
            raise CompressionError(f"expected one of {', '.join(TARGETS)}, got {self.precision}")
        _quantization(spec, self.precision)

    def write(
        self, source: Path, target: Path, windows: NDArray[np.int64], progress: Progress
    ) -> Mapping[str, Any]:
        """Write rounded weights, and config.json with how to read them."""
        spec = load_spec(source)
        quantization = _quantization(spec, self.precision)
        progress("rounding", 0.0)
        tensors = dict(_rounded(source, quantization))
        if quantization.is_static:
            progress("calibrating", 0.0)
            largest = LARGEST[self.precision]
            scales = input_scales(source, spec, windows, largest=largest)
            tensors |= _named_as(tensors, scales)
        write_weights(target, tensors)
        config = read_json(source / "config.json")
        described = {"quantization_config": describe(quantization)}
        write_json(target / "config.json", config | described)
        return {"bits": quantization.bits, "group": quantization.group}


def _quantization(spec: ModelSpec, precision: Precision) -> Quantization:
    """Take the largest group up to the usual one that divides the inputs of every matrix."""
    group = _GROUPS.get(precision)
    if group is None:
        return Quantization(precision)
    inputs = (spec.hidden, spec.queries, spec.feed_forward)
    while group >= _SMALLEST_GROUP and any(one % group for one in inputs):
        group //= 2
    if group < _SMALLEST_GROUP:
        raise CompressionError(
            f"{precision} keeps a scale for every {_SMALLEST_GROUP} inputs or more, which do not "
            f"divide this model's matrices of {sorted(set(inputs))} inputs: use int8-static"
        )
    return Quantization(precision, group)


def _rounded(source: Path, quantization: Quantization) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, array in read_all(source):
        if is_matrix(name):
            yield from stored(name, array.astype(np.float32), quantization).items()
        else:
            yield name, array


def _named_as(
    tensors: Mapping[str, NDArray[Any]], scales: Mapping[str, float]
) -> dict[str, NDArray[np.float32]]:
    """Return scales by layer under the names that the layers have in this checkpoint."""
    prefixes = {decoder_name(name): name.removesuffix("weight") for name in tensors}
    return {
        f"{prefixes[f'{layer}.weight']}{INPUT_SCALE}": np.array([scale], np.float32)
        for layer, scale in scales.items()
    }
