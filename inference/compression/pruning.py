"""Pruning: zeros in place of the weights that matter least."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.compression.compress import Progress
from inference.compression.errors import CompressionError
from inference.compression.libraries import library
from inference.compression.output import is_matrix, read_all, write_weights
from inference.models.spec import ModelSpec

_BLOCK = 4
_ZEROS = 2  # of a block

Arrays = Mapping[str, NDArray[Any]]


class Pattern(StrEnum):
    """Where zeros may lie."""

    MAGNITUDE = "magnitude"  # anywhere: the smallest weights of all matrices together
    TWO_OF_FOUR = "2:4"  # two of every four inputs, as NVIDIA's sparse tensor cores want them


@dataclass(frozen=True, slots=True)
class Prune:
    """Sets weights of the decoder's matrices to zero.

    Dense kernels multiply by a zero as by any number, and the file keeps it like any other:
    only a runtime with sparse kernels, or a compressing file system, gains by it.
    """

    pattern: Pattern
    share: float = 0.5  # of zeros, for MAGNITUDE

    @property
    def method(self) -> str:
        """Name the pattern."""
        if self.pattern is Pattern.TWO_OF_FOUR:
            return "prune 2 of 4"
        return f"prune {self.share:.0%} by magnitude"

    def check(self, spec: ModelSpec) -> None:
        """Refuse shares that leave all or nothing, and matrices without blocks of four."""
        if not 0 < self.share < 1:
            raise CompressionError(f"expected a share between 0 and 1, got {self.share:g}")
        inputs = (spec.hidden, spec.queries, spec.feed_forward)
        if self.pattern is Pattern.TWO_OF_FOUR and any(one % _BLOCK for one in inputs):
            raise CompressionError(f"matrices of {sorted(set(inputs))} inputs have no blocks of 4")
        library("torch")

    def write(
        self, source: Path, target: Path, windows: NDArray[np.int64], progress: Progress
    ) -> Mapping[str, Any]:
        """Write weights in their own number format, some of them zero."""
        del windows
        progress("pruning", 0.0)
        tensors = dict(read_all(source))
        matrices = {name: array for name, array in tensors.items() if is_matrix(name)}
        pruned = self._pruned(matrices)
        write_weights(target, {**tensors, **pruned})
        zeros = sum(int((array == 0).sum()) for array in pruned.values())
        return {"zeros": zeros / sum(array.size for array in pruned.values())}

    def _pruned(self, matrices: Arrays) -> Arrays:
        torch = library("torch")
        layers = torch.nn.ModuleList(_layer(torch, array) for array in matrices.values())
        if self.pattern is Pattern.TWO_OF_FOUR:
            _two_of_four(layers)
        else:
            _smallest(layers, self.share)
        return {
            name: layer.weight.detach().numpy().astype(array.dtype)
            for (name, array), layer in zip(matrices.items(), layers, strict=True)
        }


def _layer(torch: Any, matrix: NDArray[Any]) -> Any:
    outputs, inputs = matrix.shape
    layer = torch.nn.Linear(inputs, outputs, bias=False, device="meta")
    layer.weight = torch.nn.Parameter(torch.from_numpy(matrix.astype(np.float32)))
    return layer


def _smallest(layers: Any, share: float) -> None:
    prune = library("torch.nn.utils.prune")
    prune.global_unstructured(
        [(layer, "weight") for layer in layers],
        pruning_method=prune.L1Unstructured,
        amount=share,
    )
    for layer in layers:
        prune.remove(layer, "weight")


def _two_of_four(layers: Any) -> None:
    sparsifier = library("torch.ao.pruning").WeightNormSparsifier(
        sparsity_level=1.0, sparse_block_shape=(1, _BLOCK), zeros_per_block=_ZEROS
    )
    sparsifier.prepare(layers, [{"tensor_fqn": f"{at}.weight"} for at in range(len(layers))])
    sparsifier.step()
    sparsifier.squash_mask()
