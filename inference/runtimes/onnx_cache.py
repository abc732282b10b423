"""What differs between lowerings when ONNX Runtime runs them: their KV, and what they are fed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.models.spec import ModelSpec
from inference.runtimes.runtime import Batch, BlockCopy

Whole = NDArray[np.int64]
Arrays = dict[str, NDArray[Any]]
Place = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A cached tensor of a graph, at an address on the device."""

    name: str
    shape: tuple[int, ...]
    address: int
    host: NDArray[Any] | None = None  # the memory itself, where it is this tensor's own


@dataclass(frozen=True, slots=True)
class Feed:
    """What one call of the graph is given; calls of one place bind the same cached tensors."""

    inputs: Arrays
    place: Place


class Cache(Protocol):
    """The KV of one graph."""

    def parts(self, batch: Batch) -> list[Whole]:
        """Return the rows to compute together: all of them, where nothing forbids it."""
        ...

    def feed(self, batch: Batch) -> Feed:
        """Return what the graph is given; KV is moved first where it must be."""
        ...

    def inputs(self, place: Place) -> list[Tensor]:
        """Return the cached tensors that go in."""
        ...

    def outputs(self, place: Place) -> list[Tensor]:
        """Return the cached tensors that come out."""
        ...

    def finish(self, batch: Batch, outputs: Sequence[Tensor]) -> None:
        """Append what came out, where the graph does not do so itself."""
        ...

    def copy(self, copies: Sequence[BlockCopy]) -> None:
        """Copy tokens between blocks, in order."""
        ...


def image_inputs(spec: ModelSpec, batch: Batch, rank: Whole | None = None) -> Arrays:
    """Feed the embeddings of a batch's images, its row b lying at `rank[b]` if not at b."""
    if spec.image_token is None:
        return {}
    if batch.images is None:
        nothing = np.empty((0, spec.hidden), np.float32)
        return {"image_rows": np.empty(0, np.int64), "image_values": nothing}
    rows, width = batch.images.rows, batch.tokens.shape[1]
    moved = rows if rank is None else rank[rows // width] * width + rows % width
    return {"image_rows": moved, "image_values": batch.images.values}
