"""What computes a decoder: weights in, then batches to logits over a KV cache of blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.models.checkpoint import Weights
from inference.models.precision import Lowering, Precision
from inference.models.spec import ModelSpec

NULL_BLOCK = 0  # belongs to no sequence: padding is written here and never read


class RuntimeFailedError(RuntimeError):
    """The device or its library refused; nothing more can be computed."""


class RuntimeMemoryError(RuntimeFailedError):
    """The device lacks memory for a step; nothing is lost, and a smaller batch may fit."""


class RuntimeMissingError(RuntimeError):
    """A runtime's library, driver or device is not there; the message says what to install."""


class SleepLevel(IntEnum):
    """What a sleeping model gives up; waking from the second level loads it anew."""

    HOST_WEIGHTS = 1  # device memory; the weights stay in host memory
    NOTHING = 2  # the weights too


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """How a runtime is to run a model; it refuses, with RuntimeFailedError, what it cannot do."""

    lowering: Lowering = Lowering.PAGED
    precision: Precision | None = None  # the runtime's own default
    threads: int = 1
    spinning: bool = False  # faster alone, slower for everybody where a core is shared
    block_size: int = 16  # of the paged lowerings
    device: int = 0
    memory_bytes: int | None = None  # of the device, weights and KV together; None: all
    cache: Path | None = None  # folder for compiled engines


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Embeddings that stand in for those of some tokens of a batch."""

    rows: NDArray[np.int64]  # [K]: b * T + t of each such token
    values: NDArray[np.float32]  # [K, hidden]


@dataclass(frozen=True, slots=True)
class Batch:
    """B rows of up to T new tokens each; short rows are padded with token 0 in the null block.

    Row b continues the sequence whose KV lies in `block_tables[b]`, in order. Token t of the
    row has its position in the sequence and its slot, `block * block_size + offset`, where
    its keys and values go. `last[b]` is the column of the row's last real token. Lowerings of
    one row per sequence have one block as long as the context per sequence.
    """

    tokens: NDArray[np.int64]  # [B, T]
    positions: NDArray[np.int64]  # [B, T]
    slots: NDArray[np.int64]  # [B, T]
    block_tables: NDArray[np.int64]  # [B, M]
    last: NDArray[np.int64]  # [B]
    images: ImageRows | None = None


class BlockCopy(NamedTuple):
    """The first `tokens` slots of one block, to be copied into another before the next step."""

    source: int
    target: int
    tokens: int


class Runtime(Protocol):
    """One model on one device."""

    @property
    def block_size(self) -> int:
        """Tokens per KV block; known once a model is loaded."""
        ...

    @property
    def block_bytes(self) -> int:
        """Memory of one KV block, all layers together; known once a model is loaded."""
        ...

    def load(self, spec: ModelSpec, weights: Weights) -> None:
        """Put the model on the device."""
        ...

    def allocate_kv(self, blocks: int) -> None:
        """Make room for `blocks` KV blocks, the null block included; what was there is lost."""
        ...

    def copy_blocks(self, copies: Sequence[BlockCopy]) -> None:
        """Copy KV between blocks, in order, before the next step."""
        ...

    def step(self, batch: Batch) -> NDArray[np.float32]:
        """Compute the batch; return logits [B, vocabulary], valid until the next step."""
        ...

    def sleep(self, level: SleepLevel) -> None:
        """Give up the KV cache and the device's weights; at level 2 the host's too."""
        ...

    def wake(self) -> None:
        """Bring the weights back from level 1; `allocate_kv` must follow."""
        ...
