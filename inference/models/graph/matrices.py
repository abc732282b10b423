"""How a product with one of the model's matrices is written in each precision.

Weight-only formats keep whole numbers and a scale per block of inputs, and turn them back by
DequantizeLinear right before the product, a pattern that ONNX Runtime fuses to MatMulNBits and
TensorRT to a weight-only product. Formats that round activations, too, do so by a scale that is
known beforehand. None is ever found in the batch, as ONNX Runtime's dynamic INT8 does: one scale
for all rows, by which a neighbour would change one's answer.
"""

from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from inference.models.graph.nodes import Nodes
from inference.models.precision import Precision
from inference.models.spec import ModelError

OUTPUT_LAYER = "lm_head"  # quantised checkpoints leave it as it is
_SMALLEST_BLOCK, _LARGEST_BLOCK = 16, 256  # that ONNX Runtime fuses
_SMALLEST = np.float32(1e-12)  # a block of zeros must not divide by zero
# The format of weights and activations together, and its largest number.
_STATIC: dict[Precision, tuple[np.dtype[Any], float]] = {
    Precision.INT8_STATIC: (np.dtype(np.int8), 127.0),
    Precision.FP8: (np.dtype(ml_dtypes.float8_e4m3fn), 448.0),
}


@dataclass(frozen=True, slots=True)
class WholeNumbers:
    """A symmetric format of whole numbers with a scale per block of inputs of each output."""

    kind: np.dtype[Any]
    largest: int
    block: int  # inputs, or what of it divides them evenly

    def block_of(self, inputs: int) -> int:
        """Return the largest block, a power of two, that divides the inputs if any does."""
        block = self.block
        while inputs % block and block > _SMALLEST_BLOCK:
            block //= 2
        return block


INT8 = WholeNumbers(np.dtype(np.int8), 127, 64)
INT4 = WholeNumbers(np.dtype(ml_dtypes.int4), 7, 32)

_COMPUTED_IN: dict[Precision, np.dtype[Any]] = {
    Precision.FP32: np.dtype(np.float32),
    Precision.FP16: np.dtype(np.float16),
    Precision.BF16: np.dtype(ml_dtypes.bfloat16),
    Precision.INT8: np.dtype(np.float32),
    Precision.INT8_STATIC: np.dtype(np.float32),
    Precision.INT4: np.dtype(np.float32),
    Precision.FP8: np.dtype(np.float16),
}


def computed_in(precision: Precision, compute: Precision | None = None) -> np.dtype[Any]:
    """Return the number format of activations and KV: that of `compute`, or the usual one."""
    return _COMPUTED_IN[compute or precision]


@dataclass(frozen=True, slots=True)
class Scales:
    """What a checkpoint says of one matrix beside its weights."""

    inputs: float | None = None  # what enters it is divided by this, for static formats
    weights: NDArray[np.float32] | None = None  # (groups, outputs): its own, if it is quantised


_NONE = Scales()


@dataclass(slots=True)
class Matrices:
    """Writes products into a graph, its matrices kept in one precision."""

    graph: Nodes
    precision: Precision
    _readers: dict[str, int] = field(default_factory=dict)  # products that inputs enter

    def product(
        self,
        x: str,
        name: str,
        matrix: NDArray[np.float32],
        *,
        scales: Scales = _NONE,
        out: str = "",
    ) -> str:
        """Write x @ matrix, the matrix being shaped (inputs, outputs)."""
        match self._precision_of(name, scales):
            case Precision.INT8:
                matrix_name = self._in_blocks(name, matrix, INT8, scales)
            case Precision.INT4:
                matrix_name = self._in_blocks(name, matrix, INT4, scales)
            case Precision.INT8_STATIC | Precision.FP8:
                x = self._rounded_inputs(x, name, scales)
                matrix_name = self._by_column(name, matrix, scales)
            case _:
                matrix_name = self.graph.real(name, matrix)
        return self.graph.op("MatMul", x, matrix_name, out=out)

    def _precision_of(self, name: str, scales: Scales) -> Precision:
        """Return the format of one matrix: an output layer that was not calibrated is spared."""
        if name != OUTPUT_LAYER or scales.inputs is not None:
            return self.precision
        spared = {Precision.INT8_STATIC: Precision.INT8, Precision.FP8: Precision.FP32}
        return spared.get(self.precision, self.precision)

    def _in_blocks(
        self, name: str, matrix: NDArray[np.float32], numbers: WholeNumbers, scales: Scales
    ) -> str:
        own = in_blocks(scales.weights, len(matrix), numbers)
        block = numbers.block_of(len(matrix)) if own is None else len(matrix) // len(own)
        whole, used = quantise(matrix, numbers, own)
        kept = self.graph.constant(f"{name} whole", whole.astype(numbers.kind))
        scale = self.graph.real(f"{name} scales", used)
        return self.graph.op("DequantizeLinear", kept, scale, axis=0, block_size=block)

    def _by_column(self, name: str, matrix: NDArray[np.float32], scales: Scales) -> str:
        """Keep a matrix with a scale for each of its columns."""
        kind, largest = _STATIC[self.precision]
        columns = np.maximum(np.abs(matrix).max(0), _SMALLEST) / np.float32(largest)
        if scales.weights is not None and len(scales.weights) == 1:
            columns = scales.weights[0]
        numbers = np.clip(matrix / columns, -largest, largest)
        if kind == np.int8:
            numbers = np.rint(numbers)
        kept = self.graph.constant(f"{name} rounded", numbers.astype(kind))
        scale = self.graph.real(f"{name} scales", columns)
        return self.graph.op("DequantizeLinear", kept, scale, axis=1)

    def _rounded_inputs(self, x: str, name: str, scales: Scales) -> str:
        if scales.inputs is None:
            raise ModelError(
                f"{self.precision} needs a calibrated scale for what enters {name}: none given; "
                "`warmfront models quantize` makes a checkpoint that has them"
            )
        kind, _ = _STATIC[self.precision]
        scale = self.graph.real(f"{name} input scale", self._own_scale(x, scales.inputs))
        zero = self.graph.constant(f"{kind} zero", np.zeros((), kind))
        whole = self.graph.op("QuantizeLinear", x, scale, zero)
        return self.graph.op("DequantizeLinear", whole, scale, zero)

    def _own_scale(self, x: str, scale: float) -> float:
        """Return a scale that no other product of these inputs has, off by a millionth.

        ONNX Runtime merges nodes that are equal, and then fuses none that two products read.
        """
        used = self._readers.get(x, 0)
        self._readers[x] = used + 1
        return scale * (1 + used * 2.0**-20)


def in_blocks(
    stored: NDArray[np.float32] | None, inputs: int, numbers: WholeNumbers
) -> NDArray[np.float32] | None:
    """Return scales of a checkpoint for blocks that can be fused; None where that is impossible.

    A group too long for one block is cut into several that share its scale.
    """
    if stored is None:
        return None
    group = block = inputs // len(stored)
    if block & (block - 1) or block > _LARGEST_BLOCK:
        block = numbers.block
        while group % block and block > _SMALLEST_BLOCK:
            block //= 2
    if group % block or block < _SMALLEST_BLOCK:
        return None
    return np.repeat(stored, group // block, axis=0)


def quantise(
    matrix: NDArray[np.float32],
    numbers: WholeNumbers,
    scales: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return whole numbers, shaped (inputs, outputs), and scales, shaped (blocks, outputs).

    Scales that are given are kept, and say how long a block is.
    """
    inputs, outputs = matrix.shape
    block = numbers.block_of(inputs) if scales is None else inputs // len(scales)
    padded = np.pad(matrix, ((0, -inputs % block), (0, 0))).reshape(-1, block, outputs)
    if scales is None:
        scales = np.maximum(np.abs(padded).max(1), _SMALLEST) / np.float32(numbers.largest)
    whole = np.rint(padded / scales[:, None]).reshape(-1, outputs)
    least = -numbers.largest - 1  # which other tools use, too
    return np.clip(whole[:inputs], least, numbers.largest), scales


def rounded(matrix: NDArray[np.float32], numbers: WholeNumbers) -> NDArray[np.float32]:
    """Return the matrix that is left of one, shaped (inputs, outputs), once quantised."""
    whole, scales = quantise(matrix, numbers)
    return whole * np.repeat(scales, numbers.block_of(len(matrix)), axis=0)[: len(matrix)]
