"""The KV cache as a pool of equal blocks: who may write where, without the memory itself.

A block is used, by one sequence or by several that share it; or cached: used by none, but its
contents may serve again until its room is needed, the longest unused first; or free.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KvAccount:
    """What became of the blocks, and of the tokens that asked for cached ones."""

    blocks: int  # used, cached and free ones together
    used: int
    cached: int
    free: int
    shared: int  # used by two or more sequences
    used_slots: int  # room for tokens in used blocks
    held_tokens: int  # tokens in them
    queried_tokens: int  # of sequences that joined, ever
    hit_tokens: int  # those that needed no computation

    @property
    def usage(self) -> float:
        """Share of the blocks that is used, 0 to 1."""
        return self.used / self.blocks

    @property
    def waste(self) -> float:
        """Share of the used room that holds no token, 0 to 1."""
        return 1 - self.held_tokens / self.used_slots if self.used_slots else 0.0


class BlockPool:
    """Blocks 1 to `blocks - 1`; block 0 is the null block, never given out."""

    def __init__(self, blocks: int, *, block_size: int) -> None:
        if blocks < 2 or block_size < 1:  # noqa: PLR2004 - the null block and one more
            raise ValueError(
                f"expected 2 or more blocks of 1 or more tokens, got {blocks} of {block_size}"
            )
        self.block_size = block_size
        self._size = blocks - 1
        self._free = list(range(self._size, 0, -1))
        self._cached: OrderedDict[int, None] = OrderedDict()  # longest unused first
        self._users = [0] * blocks
        self._names: dict[int, bytes] = {}
        self._named: dict[bytes, int] = {}
        self._shared = self._held = self._queried = self._hit = 0

    @property
    def available(self) -> int:
        """Number of blocks that no sequence uses."""
        return len(self._free) + len(self._cached)

    @property
    def capacity(self) -> int:
        """Tokens that fit when every block is available."""
        return self._size * self.block_size

    @property
    def usage(self) -> float:
        """Share of the blocks that is used, 0 to 1."""
        return 1 - self.available / self._size

    def account(self) -> KvAccount:
        """Return where the pool stands."""
        used = self._size - self.available
        return KvAccount(
            blocks=self._size,
            used=used,
            cached=len(self._cached),
            free=len(self._free),
            shared=self._shared,
            used_slots=used * self.block_size,
            held_tokens=self._held,
            queried_tokens=self._queried,
            hit_tokens=self._hit,
        )

    def blocks_for(self, tokens: int) -> int:
        """Return how many blocks hold `tokens` tokens."""
        return -(-tokens // self.block_size)

    def allocate(self, count: int) -> list[int]:
        """Take `count` blocks for one user, evicting cached contents where no other is left."""
        if count > self.available:
            raise ValueError(f"{count} blocks asked for, {self.available} available")
        blocks = [self._free.pop() if self._free else self._evict() for _ in range(count)]
        for block in blocks:
            self._users[block] = 1
        return blocks

    def share(self, blocks: Iterable[int]) -> None:
        """Add a user to blocks that are used or cached."""
        for block in blocks:
            if not 0 < block <= self._size or (not self._users[block] and not self._rouse(block)):
                raise ValueError(f"block {block} is neither used nor cached")
            self._users[block] += 1
            self._shared += self._users[block] == 2  # noqa: PLR2004 - from one user to two

    def release(self, blocks: Sequence[int], *, held: int) -> None:
        """Take one user from each of a sequence's blocks, which hold `held` tokens in order.

        A block without any user stays cached if it has a name.
        """
        for index in reversed(range(len(blocks))):  # the last of a chain are evicted first
            block = blocks[index]
            if not 0 < block <= self._size or not self._users[block]:
                raise ValueError(f"block {block} is not used")
            self._users[block] -= 1
            self._shared -= self._users[block] == 1
            if not self._users[block]:
                left = held - index * self.block_size
                self._held -= max(0, min(left, self.block_size))
                if block in self._names:
                    self._cached[block] = None
                else:
                    self._free.append(block)

    def fill(self, tokens: int) -> None:
        """Note that so many tokens more are held, by blocks with one user."""
        self._held += tokens

    def name(self, block: int, name: bytes) -> None:
        """Let a full block be found by what it holds, unless another one of that name can be."""
        if name not in self._named and block not in self._names:
            self._named[name] = block
            self._names[block] = name

    def find(self, names: Iterable[bytes]) -> list[int]:
        """Return the blocks of the longest known beginning of a chain of names."""
        return list(self._known(names))

    def idle(self, blocks: Iterable[int]) -> int:
        """Return how many of the blocks no sequence uses."""
        return sum(not self._users[block] for block in blocks)

    def count_query(self, tokens: int, *, hit: int) -> None:
        """Note that a sequence of so many tokens joined, and how many were there already."""
        self._queried += tokens
        self._hit += hit

    def forget(self) -> None:
        """Drop all cached contents: the memory behind them is gone."""
        if self.available < self._size:
            raise ValueError(f"{self._size - self.available} blocks are still used")
        self._free = list(range(self._size, 0, -1))
        for record in (self._cached, self._names, self._named):
            record.clear()

    def _known(self, names: Iterable[bytes]) -> Iterator[int]:
        for name in names:
            block = self._named.get(name)
            if block is None:
                return
            yield block

    def _rouse(self, block: int) -> bool:
        """Take a cached block into use; tell whether it was cached."""
        if block not in self._cached:
            return False
        del self._cached[block]
        self._held += self.block_size
        return True

    def _evict(self) -> int:
        block, _ = self._cached.popitem(last=False)
        del self._named[self._names.pop(block)]
        return block
