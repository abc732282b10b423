"""The decoder for TensorRT: its graph, the shapes that it is compiled for, and its inputs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from inference.models.checkpoint import Weights
from inference.models.graph.attention import kv_names
from inference.models.graph.decoder import build_decoder
from inference.models.graph.matrices import computed_in
from inference.models.precision import Lowering, Precision
from inference.models.spec import ModelSpec
from inference.runtimes.arena import Slice
from inference.runtimes.engines import Profile, ShapeRange
from inference.runtimes.probe import Gpu
from inference.runtimes.runtime import Batch, RuntimeFailedError
from inference.runtimes.shapes import ShapeLimits
from inference.runtimes.tensorrt_kv import KvShape, kv_shape

DECODE, PREFILL = 0, 1  # numbers of the profiles
_MOST_ELEMENTS = 2**31 - 1  # of one tensor
_FP8_SINCE = (8, 9)
_FLOATS = (Precision.FP32, Precision.FP16, Precision.BF16)
_INT32, _FLOAT = np.dtype(np.int32), np.dtype(np.float32)


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of one call."""

    rows: int
    width: int
    blocks: int  # columns of the block tables
    images: int = 0


@dataclass(frozen=True)
class DecoderGraph:
    """One model in the form in which TensorRT runs it."""

    spec: ModelSpec
    lowering: Lowering
    precision: Precision
    block_size: int  # of rows: the longest context, and a chunk that padding may run over it
    limits: ShapeLimits

    @cached_property
    def compute(self) -> Precision | None:
        """What is computed in, where the precision of the weights does not say."""
        return None if self.precision in _FLOATS else Precision.FP16

    @cached_property
    def kv(self) -> KvShape:
        """How keys and values lie in memory."""
        return kv_shape(
            self.spec,
            kv_names(self.spec),
            tokens=self.block_size,
            item_bytes=computed_in(self.precision, self.compute).itemsize,
            is_paged=self.lowering.is_paged,
        )

    @property
    def table_width(self) -> int:
        """Blocks of the longest context."""
        return -(-self.spec.positions // self.block_size)

    @property
    def largest(self) -> tuple[Shape, Shape]:
        """The largest call of each profile: decode, then prefill."""
        limits, width = self.limits, self.table_width
        tokens = limits.prefill_rows * limits.chunk
        decode = Shape(limits.decode_rows, 1, width, limits.decode_rows)
        return decode, Shape(limits.prefill_rows, limits.chunk, width, tokens)

    def build(
        self, weights: Weights, activation_scales: Mapping[str, float] | None
    ) -> onnx.ModelProto:
        """Write the graph; its indices are 32 bits wide, which TensorRT takes as they are."""
        return build_decoder(
            self.spec,
            weights,
            block_size=self.block_size,
            lowering=self.lowering,
            precision=self.precision,
            compute=self.compute,
            index_type=TensorProto.INT32,
            activation_scales=activation_scales,
        )

    def profiles(self, memory_bytes: int) -> list[Profile]:
        """Return the shapes to compile for: one token of many rows, or chunks of a few."""
        return [self._profile(shape, memory_bytes) for shape in self.largest]

    def inputs(self, shape: Shape) -> dict[str, Slice]:
        """Return the inputs that change from call to call, those for appending KV included."""
        grid = Slice((shape.rows, shape.width), _INT32)
        rows = Slice((shape.rows,), _INT32)
        inputs = {"tokens": grid, "positions": grid, "last_rows": rows}
        if self.lowering is Lowering.KVUPDATE:
            inputs["starts"] = rows
        else:
            inputs["block_tables"] = Slice((shape.rows, shape.blocks), _INT32)
        if self.spec.image_token is not None:
            inputs["image_rows"] = Slice((shape.images,), _INT32)
            inputs["image_values"] = Slice((shape.images, self.spec.hidden), _FLOAT)
        if self.lowering is Lowering.HOSTKV:
            inputs["slots"] = grid
        return inputs

    def outputs(self, shape: Shape) -> dict[str, Slice]:
        """Return the outputs that are not the KV itself."""
        outputs = {"logits": Slice((shape.rows, self.spec.vocabulary), _FLOAT)}
        if self.lowering is Lowering.HOSTKV:
            new = (shape.rows, self.kv.heads, shape.width, self.spec.head_dim)
            one = Slice(new, computed_in(self.precision, self.compute))
            outputs |= {f"{name}_new": one for name in self.kv.names}
        return outputs

    def kv_tensor(self, shape: Shape, blocks: int) -> tuple[int, ...]:
        """Return the shape of a cached input."""
        if self.lowering is Lowering.KVUPDATE:
            return (shape.rows, self.kv.heads, self.block_size, self.spec.head_dim)
        return (self.kv.heads * blocks * self.block_size, self.spec.head_dim)

    def fill(
        self, views: Mapping[str, NDArray[Any]], batch: Batch, real: NDArray[np.bool_]
    ) -> None:
        """Write a padded batch into a call's inputs; `real` tells its rows from the added ones."""
        count, width = batch.tokens.shape
        views["tokens"][:], views["positions"][:] = batch.tokens, batch.positions
        views["last_rows"][:] = np.arange(count) * width + batch.last
        if "starts" in views:
            # What an added row writes goes where no sequence ever reads.
            views["starts"][:] = np.where(real, batch.positions[:, 0], self.block_size - width)
        else:
            views["block_tables"][:], views["slots"][:] = batch.block_tables, batch.slots
        if "image_rows" in views and batch.images is not None:
            views["image_rows"][:] = batch.images.rows
            views["image_values"][:] = batch.images.values

    def _profile(self, largest: Shape, memory_bytes: int) -> Profile:
        rows = max(1, largest.rows // 2)
        usual = Shape(rows, largest.width, max(1, largest.blocks // 2), largest.images // 2)
        shapes = Shape(1, 1, 1), usual, largest
        ranges = [self.inputs(shape) for shape in shapes]
        profile = {
            name: ShapeRange(*(inputs[name].shape for inputs in ranges))
            for name in ranges[0]
            if name != "slots"
        }
        most = self._most_blocks(memory_bytes)
        tensors = [
            self.kv_tensor(shape, blocks)
            for shape, blocks in zip(shapes, (2, max(2, most // 2), most), strict=True)
        ]
        return profile | {name: ShapeRange(*tensors) for name in self.kv.names}

    def _most_blocks(self, memory_bytes: int) -> int:
        fit = memory_bytes // self.kv.block_bytes
        addressed = _MOST_ELEMENTS // (self.kv.heads * self.block_size * self.spec.head_dim)
        return max(2, min(fit, addressed))


def decoder_graph(
    spec: ModelSpec,
    *,
    lowering: Lowering,
    precision: Precision,
    block_size: int,
    limits: ShapeLimits,
    gpu: Gpu,
) -> DecoderGraph:
    """Choose the form of a model for a GPU, or say why it cannot have the one asked for."""
    check_lowering(lowering)
    if precision is Precision.FP8 and gpu.architecture < _FP8_SINCE:
        raise RuntimeFailedError(
            f"fp8 needs compute capability 8.9 or newer, and {gpu.name} has {gpu.sm}: use int8"
        )
    if lowering is Lowering.KVUPDATE:
        return DecoderGraph(spec, lowering, precision, spec.positions + limits.chunk, limits)
    # TensorRT does not scatter into a pool in place: the runtime appends instead.
    return DecoderGraph(spec, Lowering.HOSTKV, precision, block_size, limits)


def check_lowering(lowering: Lowering) -> None:
    """Refuse a lowering that TensorRT cannot compile."""
    if lowering in (Lowering.GQA, Lowering.ROWS):
        raise RuntimeFailedError(
            f"the lowering {lowering} is for ONNX Runtime alone: "
            "with TensorRT use kvupdate or hostkv"
        )


def fingerprint(model: onnx.ModelProto) -> str:
    """Return a digest of a graph and its weights, without a second copy of them in memory."""
    digest = hashlib.sha256()
    graph = model.graph
    for part in (*model.opset_import, *graph.input, *graph.output, *graph.node):
        digest.update(part.SerializeToString(deterministic=True))
    for tensor in graph.initializer:
        digest.update(f"{tensor.name} {tensor.data_type} {list(tensor.dims)}".encode())
        digest.update(tensor.raw_data or tensor.SerializeToString(deterministic=True))
    return digest.hexdigest()
