"""The response cache: answers given again for a while, within a bound of memory."""

from collections import OrderedDict
from dataclasses import dataclass

from inference.gateway.coalescing.answer import Answer
from inference.gateway.coalescing.fingerprint import Fingerprint


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer in the cache."""

    fingerprint: Fingerprint
    answer: Answer
    stored: float
    size: int

    def age(self, now: float) -> float:
        """Seconds that the answer is old."""
        return max(now - self.stored, 0.0)


class ResponseCache:
    """Keeps answers for `seconds`; the least recently asked for go first when memory is short."""

    def __init__(self, *, seconds: float, limit_bytes: int) -> None:
        self._seconds = seconds
        self._limit = limit_bytes
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of all kept answers, about."""
        return self._size

    def find(self, fingerprint: Fingerprint, now: float) -> Kept | None:
        """Return the answer to an equal request; KeyReusedError where only the key is equal."""
        kept = self._kept.get(fingerprint.identity)
        if kept is None:
            return None
        if self._has_expired(kept, now):
            self._drop(fingerprint.identity)
            return None
        kept.fingerprint.confirm(fingerprint)
        self._kept.move_to_end(fingerprint.identity)
        return kept

    def store(self, fingerprint: Fingerprint, answer: Answer, now: float) -> None:
        """Keep an answer, unless it is larger than the cache."""
        kept = Kept(fingerprint, answer, now, answer.size)
        if kept.size > self._limit or self._seconds <= 0:
            return
        self._drop(fingerprint.identity)
        self._kept[fingerprint.identity] = kept
        self._size += kept.size
        while self._size > self._limit or self._has_expired(self._oldest, now):
            self._drop(self._oldest.fingerprint.identity)

    @property
    def _oldest(self) -> Kept:
        return next(iter(self._kept.values()))

    def _has_expired(self, kept: Kept, now: float) -> bool:
        return kept.age(now) >= self._seconds

    def _drop(self, identity: bytes) -> None:
        kept = self._kept.pop(identity, None)
        if kept is not None:
            self._size -= kept.size
