"""What computes the decoder: weights in, then batches to logits over a paged KV pool."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inference.models.checkpoint import Weights
from inference.models.spec import ModelSpec

NULL_BLOCK = 0  # belongs to no sequence: padding is written here and never read


class RuntimeFailedError(RuntimeError):
    """The device or its library refused; nothing more can be computed."""


@dataclass(frozen=True, slots=True)
class Batch:
    """B rows of up to T new tokens each; short rows are padded with token 0 in the null block.

    Row b continues the sequence whose KV lies in `block_tables[b]`, in order. Token t of the
    row has its position in the sequence and its slot, `block * block_size + offset`, where
    its keys and values go. `last[b]` is the column of the row's last real token.
    """

    tokens: NDArray[np.int64]  # [B, T]
    positions: NDArray[np.int64]  # [B, T]
    slots: NDArray[np.int64]  # [B, T]
    block_tables: NDArray[np.int64]  # [B, M]
    last: NDArray[np.int64]  # [B]


class Runtime(Protocol):
    """One model on one device."""

    @property
    def block_size(self) -> int:
        """Tokens per KV block."""
        ...

    def load(self, spec: ModelSpec, weights: Weights) -> None:
        """Put the model on the device."""
        ...

    def allocate_kv(self, blocks: int) -> None:
        """Make room for `blocks` KV blocks, the null block included."""
        ...

    def step(self, batch: Batch) -> NDArray[np.float32]:
        """Compute the batch; return logits [B, vocabulary], valid until the next step."""
        ...
