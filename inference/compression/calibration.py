"""Calibration: how large the activations that enter each matrix become on the user's text."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import (
    CalibrationDataReader,
    CalibrationMethod,
    create_calibrator,
)

from inference.models.checkpoint import load_weights
from inference.models.graph.attention import kv_names
from inference.models.graph.decoder import build_decoder
from inference.models.graph.matrices import OUTPUT_LAYER
from inference.models.precision import Lowering
from inference.models.spec import ModelSpec

_ROWS = 4
_WINDOWS = 32  # spread over the text
_PERCENTILE = 99.99  # of the absolute values: the few beyond are clipped
_SMALLEST = 1e-12


def input_scales(
    folder: Path, spec: ModelSpec, windows: NDArray[np.int64], *, largest: float
) -> dict[str, float]:
    """Return for each layer the scale that maps what enters its matrix onto ±`largest`.

    The float32 graph runs over the windows under ONNX Runtime's calibrator.
    """
    chosen = np.linspace(0, len(windows) - 1, min(_WINDOWS, len(windows))).astype(int)
    graph = build_decoder(
        spec,
        load_weights(folder, spec),
        block_size=windows.shape[1],
        lowering=Lowering.HOSTKV,
    )
    entering = _entering(graph)
    ranges = _ranges(graph, spec, windows[chosen])
    return {
        layer: max(float(np.abs(ranges[tensor].range_value).max()), _SMALLEST) / largest
        for layer, tensor in entering.items()
    }


def _ranges(graph: onnx.ModelProto, spec: ModelSpec, windows: NDArray[np.int64]) -> Any:
    """Return what the calibrator finds; it prints what it does, which is nobody's wish here."""
    wanted = {value.name for value in graph.graph.input}
    with TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        plain = Path(scratch) / "decoder.onnx"
        onnx.save(graph, plain, save_as_external_data=True, location="weights")
        calibrator = create_calibrator(
            plain,
            ["MatMul"],
            augmented_model_path=str(Path(scratch) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.Percentile,
            use_external_data_format=True,
            extra_options={"symmetric": True, "percentile": _PERCENTILE},
        )
        for inputs in _inputs(spec, windows):
            # One at a time: it keeps every activation of a reader until the reader ends.
            calibrator.collect_data(_Once({name: inputs[name] for name in wanted}))
        return calibrator.compute_data()


def _entering(graph: onnx.ModelProto) -> dict[str, str]:
    """Return the tensor that enters each layer of the checkpoint, by the layer's name."""
    kept = {constant.name for constant in graph.graph.initializer} - {OUTPUT_LAYER}
    return {
        layer: node.input[0]
        for node in graph.graph.node
        if node.op_type == "MatMul" and node.input[1] in kept
        for layer in _layers(node.input[1])
    }


def _layers(matrix: str) -> list[str]:
    """Return the layers that the graph has joined into one matrix."""
    prefix, joined, _ = matrix.partition("qkv_proj")
    return [f"{prefix}{one}_proj" for one in "qkv"] if joined else [matrix]


class _Once(CalibrationDataReader):  # type: ignore[misc]  # the library is untyped
    """Feeds one batch."""

    def __init__(self, inputs: dict[str, NDArray[Any]]) -> None:
        self._inputs: dict[str, NDArray[Any]] | None = inputs

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Return the batch, then None."""
        inputs, self._inputs = self._inputs, None
        return inputs


def _inputs(spec: ModelSpec, windows: NDArray[np.int64]) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield whole windows as prompts whose keys and values are not kept."""
    length = windows.shape[1]
    pool = np.zeros((2 * spec.kv_heads * length, spec.head_dim), np.float32)
    for at in range(0, len(windows), _ROWS):
        tokens = windows[at : at + _ROWS]
        rows = len(tokens)
        yield {
            "tokens": tokens,
            "positions": np.tile(np.arange(length), (rows, 1)),
            "block_tables": np.ones((rows, 1), np.int64),
            "last_rows": np.arange(rows) * length + length - 1,
            "image_rows": np.zeros(0, np.int64),
            "image_values": np.zeros((0, spec.hidden), np.float32),
        } | dict.fromkeys(kv_names(spec), pool)
