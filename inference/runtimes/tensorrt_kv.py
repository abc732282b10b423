"""Keys and values in a device's memory: pools of blocks, or rows of one sequence each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inference.models.spec import ModelSpec
from inference.runtimes.device import BandCopy, Device
from inference.runtimes.runtime import BlockCopy


@dataclass(frozen=True, slots=True)
class KvShape:
    """How one cached tensor is laid out: [heads, blocks, tokens, …], or [blocks, heads, …]."""

    names: tuple[str, ...]
    heads: int
    tokens: int  # of a block; of a row, its slack included
    token_bytes: int  # of one head
    is_paged: bool

    @property
    def block_bytes(self) -> int:
        """Memory of one block in all tensors."""
        return len(self.names) * self.heads * self.tokens * self.token_bytes

    @property
    def stride(self) -> int:
        """Bytes from one block to the next, within a tensor."""
        return self.tokens * self.token_bytes * (1 if self.is_paged else self.heads)

    def pitch(self, blocks: int) -> int:
        """Bytes from one head of a block to the next."""
        return self.tokens * self.token_bytes * (blocks if self.is_paged else 1)


def kv_shape(
    spec: ModelSpec, names: Sequence[str], *, tokens: int, item_bytes: int, is_paged: bool
) -> KvShape:
    """Return the layout of a model's cached tensors."""
    return KvShape(tuple(names), spec.kv_heads, tokens, spec.head_dim * item_bytes, is_paged)


class KvMemory:
    """Zeroed memory for every cached tensor."""

    def __init__(self, device: Device, shape: KvShape, blocks: int) -> None:
        self.blocks = blocks
        self.shape = shape
        self._device = device
        self.addresses: dict[str, int] = {}
        size = blocks * shape.block_bytes // len(shape.names)
        try:
            for name in shape.names:
                self.addresses[name] = device.allocate(size)
        except BaseException:
            self.release()
            raise

    def at(self, block: int) -> Mapping[str, int]:
        """Return where a block begins in every tensor."""
        offset = block * self.shape.stride
        return {name: address + offset for name, address in self.addresses.items()}

    def copy(self, copies: Sequence[BlockCopy]) -> None:
        """Copy the first tokens of blocks to other blocks, in order."""
        shape, pitch = self.shape, self.shape.pitch(self.blocks)
        for source, target, tokens in copies:
            if tokens:
                width = tokens * shape.token_bytes
                for base in self.addresses.values():
                    ends = base + source * shape.stride, base + target * shape.stride
                    self._device.copy_bands(
                        BandCopy(ends[0], pitch, ends[1], pitch, width, shape.heads)
                    )

    def release(self) -> None:
        """Free it all."""
        while self.addresses:
            self._device.release(self.addresses.popitem()[1])
