"""Sessions stay where they began: which version each was on when it was last heard of.

The KV cache of a conversation lies with the replica that computed it. So sessions are noted
before any rollout starts, too: those that are under way then are stable's.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

_SCALE = 2.0**-64


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a session sat when it was last heard of; version None: no rollout chose one."""

    model: str
    version: str | None
    seen: float  # monotonic seconds


class Sessions:
    """The sessions heard of lately, at most `limit`; the one silent the longest goes first."""

    def __init__(self, *, limit: int, ttl_seconds: float) -> None:
        self._limit = limit
        self._ttl = ttl_seconds
        self._seats: OrderedDict[int, Seat] = OrderedDict()
        self._counts: Counter[tuple[str, str | None]] = Counter()

    def __len__(self) -> int:
        return len(self._seats)

    def seat(self, session: int, now: float) -> Seat | None:
        """Return where a session sits; None where it is new, or was silent for too long."""
        seat = self._seats.get(session)
        return None if seat is None or now - seat.seen >= self._ttl else seat

    def note(self, session: int, seat: Seat) -> None:
        """Take note of where a session sits now."""
        before = self._seats.pop(session, None)
        if before is not None:
            self._forget(before)
        elif len(self._seats) >= self._limit:
            self._forget(self._seats.popitem(last=False)[1])
        self._seats[session] = seat
        self._counts[seat.model, seat.version] += 1

    def expire(self, now: float) -> None:
        """Forget the sessions that were silent for too long."""
        while self._seats:
            session, seat = next(iter(self._seats.items()))
            if now - seat.seen < self._ttl:
                return
            del self._seats[session]
            self._forget(seat)

    def elsewhere(self, model: str, version: str) -> int:
        """Count the sessions of a model that do not sit on a version."""
        return sum(
            count for (of, on), count in self._counts.items() if of == model and on != version
        )

    def _forget(self, seat: Seat) -> None:
        self._counts[seat.model, seat.version] -= 1
        if not self._counts[seat.model, seat.version]:
            del self._counts[seat.model, seat.version]


def number_of(*parts: str) -> int:
    """Return 64 bits of hash, the same in every process."""
    text = "\0".join(parts).encode(errors="surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest())


def share_of(*parts: str) -> float:
    """Return a number in [0, 1), uniform over what is hashed and the same in every process."""
    return min(number_of(*parts) * _SCALE, 1 - 2**-53)
