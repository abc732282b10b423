"""What ONNX Runtime can run where, and what it runs when nothing is asked for."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from inference.models.graph.matrices import computed_in
from inference.models.precision import Lowering, Precision
from inference.models.spec import ModelSpec
from inference.runtimes.onnx_session import Provider
from inference.runtimes.runtime import (
    RuntimeFailedError,
    RuntimeMemoryError,
    RuntimeSettings,
)

_GQA_HEAD = 16  # what the operator's head_dim must be a multiple of
_USUAL = {Provider.CPU: Precision.INT8, Provider.CUDA: Precision.FP16}
_COMPUTE = {Provider.CPU: Precision.FP32, Provider.CUDA: Precision.FP16}
# The CPU rounds to FP8 and computes in float32: slowly, but a model can be judged there.
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation")
_WITHOUT_KERNELS = {Provider.CPU: (Precision.BF16,), Provider.CUDA: (Precision.FP8,)}


@dataclass(frozen=True, slots=True)
class Numbers:
    """The formats that matrices are kept in and that are computed in."""

    precision: Precision
    compute: Precision | None  # None: the matrices' own, or float32

    @property
    def kind(self) -> np.dtype[Any]:
        """What activations and KV consist of."""
        return computed_in(self.precision, self.compute)


def numbers(settings: RuntimeSettings, spec: ModelSpec, provider: Provider) -> Numbers:
    """Return the formats that are asked for, or the checkpoint's, or the provider's usual one."""
    precision = settings.precision or spec.stored_precision or _USUAL[provider]
    plain = precision in (Precision.FP32, Precision.FP16, Precision.BF16)
    return Numbers(precision, None if plain else _COMPUTE[provider])


def refuse(
    spec: ModelSpec, lowering: Lowering, precision: Precision, *, provider: Provider
) -> None:
    """Say what cannot be run, before anything is built."""
    if precision in _WITHOUT_KERNELS[provider]:
        raise RuntimeFailedError(
            f"ONNX Runtime has no {precision} kernels on {provider}: choose int8 or fp32"
        )
    if lowering in (Lowering.HOSTKV, Lowering.ROWS) and provider is not Provider.CPU:
        raise RuntimeFailedError(f"{lowering} needs its KV in host memory: choose paged or gqa")
    if lowering is Lowering.GQA and spec.head_dim % _GQA_HEAD:
        raise RuntimeFailedError(
            f"gqa needs a head_dim that is a multiple of {_GQA_HEAD}, "
            f"this model has {spec.head_dim}: choose paged"
        )


def step_error(error: Exception) -> RuntimeFailedError:
    """Return what a failed step means: that memory was short, or that nothing will work again."""
    if any(words in str(error) for words in _OUT_OF_MEMORY):
        return RuntimeMemoryError(f"out of memory in a step: {error}")
    return RuntimeFailedError(f"ONNX Runtime failed in a step: {error}")
