"""The KV cache as a pool of equal blocks: who may write where, without the memory itself."""

from collections.abc import Iterable


class BlockPool:
    """Blocks 1 to `blocks - 1`, each free or taken; block 0 is the null block, never given out."""

    def __init__(self, blocks: int, *, block_size: int) -> None:
        if blocks < 2 or block_size < 1:  # noqa: PLR2004 - the null block and one more
            raise ValueError(
                f"expected 2 or more blocks of 1 or more tokens, got {blocks} of {block_size}"
            )
        self.block_size = block_size
        self._size = blocks - 1
        self._free = list(range(self._size, 0, -1))
        self._taken: set[int] = set()

    @property
    def available(self) -> int:
        """Number of free blocks."""
        return len(self._free)

    @property
    def capacity(self) -> int:
        """Tokens that fit when every block is free."""
        return self._size * self.block_size

    @property
    def usage(self) -> float:
        """Share of the blocks that is taken, 0 to 1."""
        return len(self._taken) / self._size

    def blocks_for(self, tokens: int) -> int:
        """Return how many blocks hold `tokens` tokens."""
        return -(-tokens // self.block_size)

    def allocate(self, count: int) -> list[int]:
        """Take `count` blocks; asking for more than are free is a mistake of the caller."""
        if count > self.available:
            raise ValueError(f"{count} blocks asked for, {self.available} free")
        blocks = [self._free.pop() for _ in range(count)]
        self._taken.update(blocks)
        return blocks

    def free(self, blocks: Iterable[int]) -> None:
        """Give blocks back; giving back what is not taken is a mistake of the caller."""
        for block in blocks:
            if block not in self._taken:
                raise ValueError(f"block {block} is not taken")
            self._taken.remove(block)
            self._free.append(block)
