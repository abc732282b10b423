"""Affinity: which replicas have lately computed the beginning of a prompt, and so may have it."""

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b

BLOCK_BYTES = 256  # about 64 tokens, a few KV blocks of a replica
# Blocks of one size as far as most prompts share a beginning; then ever larger ones, so that
# long prompts are told apart too at a bounded number of hashes.
_EVEN_BLOCKS = 8
_DOUBLINGS = 5
_ENDS = (
    *(BLOCK_BYTES * block for block in range(1, _EVEN_BLOCKS + 1)),
    *(
        BLOCK_BYTES * _EVEN_BLOCKS * 2**doubling * halves // 2
        for doubling in range(_DOUBLINGS)
        for halves in (3, 4)
    ),
)
_SECRET = secrets.token_bytes(16)  # nobody outside can make prompts that collide
_HOLDERS_KEPT = 16


def prefix_of(pieces: Iterable[bytes]) -> tuple[int, ...]:
    """Hash ever longer beginnings of a prompt; one shorter than a block has none."""
    text = _beginning(pieces)
    digest = blake2b(key=_SECRET, digest_size=8)
    hashes, start = [], 0
    for end in _ENDS:
        if end > len(text):
            break
        digest.update(text[start:end])
        hashes.append(int.from_bytes(digest.copy().digest()))
        start = end
    return tuple(hashes)


def _beginning(pieces: Iterable[bytes]) -> bytes:
    taken, length = [], 0
    for piece in pieces:
        taken.append(piece)
        length += len(piece)
        if length >= _ENDS[-1]:
            break
    return b"".join(taken)


class PrefixIndex:
    """Which replicas were sent which prefixes lately; what is longest unused is forgotten.

    A holder is one life of a replica: a number that nothing else gets, so that one which is
    gone or was restarted is never found again.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._holders: OrderedDict[int, dict[int, None]] = OrderedDict()  # oldest first, both

    def __len__(self) -> int:
        return len(self._holders)

    def note(self, prefix: tuple[int, ...], holder: int) -> None:
        """Note that a replica computes a prompt with this prefix."""
        for block in prefix:
            holders = self._holders.setdefault(block, {})
            holders.pop(holder, None)
            holders[holder] = None
            if len(holders) > _HOLDERS_KEPT:
                del holders[next(iter(holders))]
            self._holders.move_to_end(block)
        while len(self._holders) > self._capacity:
            self._holders.popitem(last=False)

    def shares(self, prefix: tuple[int, ...]) -> dict[int, float]:
        """Return what share of the prefix each of its holders has, from 0 to 1."""
        found: dict[int, float] = {}
        for place in range(len(prefix) - 1, -1, -1):
            for holder in self._holders.get(prefix[place], ()):
                if holder not in found:
                    found[holder] = _ENDS[place] / _ENDS[len(prefix) - 1]
        return found
