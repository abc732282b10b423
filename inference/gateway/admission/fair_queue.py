"""The fair queue: one class of requests, its tenants served by their shares.

Start-time fair queueing (Goyal, Vin, Cheng 1997): each request begins, on a clock that counts
work per share, where its tenant's last one finishes; the earliest beginning is served first.
"""

from bisect import bisect_left
from collections.abc import Iterator

from inference.gateway.admission.entry import Entry


class FairQueue:
    """Requests of one class in order of service: fair by tenant, first come first within one."""

    def __init__(self) -> None:
        self._keys: list[tuple[float, float, int]] = []
        self._entries: list[Entry] = []
        self._by_joining: dict[int, Entry] = {}
        self._finishes: dict[str, float] = {}
        self._clock = 0.0
        self.work = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def last(self) -> Entry:
        """The entry that would be served last."""
        return self._entries[-1]

    @property
    def newest(self) -> Entry:
        """The entry that joined last."""
        return next(reversed(self._by_joining.values()))

    def schedule(self, entry: Entry) -> None:
        """Give an entry its place, without adding it; one that returns is before all others."""
        if entry.is_returning:
            entry.start = entry.finish = float("-inf")
            return
        entry.start = max(self._clock, self._finishes.get(entry.tenant, 0.0))
        entry.finish = entry.start + entry.work / entry.share

    def add(self, entry: Entry) -> None:
        """Add an entry at the place that it was given."""
        index = bisect_left(self._keys, entry.key)
        self._keys.insert(index, entry.key)
        self._entries.insert(index, entry)
        self._by_joining[entry.number] = entry
        self.work += entry.work
        if not entry.is_returning:
            self._finishes[entry.tenant] = entry.finish

    def remove(self, entry: Entry, *, is_served: bool) -> None:
        """Take an entry out; the clock goes on with those that are served."""
        index = bisect_left(self._keys, entry.key)
        del self._keys[index], self._entries[index], self._by_joining[entry.number]
        self.work -= entry.work
        if is_served:
            self._clock = max(self._clock, entry.start)
        elif self._finishes.get(entry.tenant) == entry.finish:
            self._finishes[entry.tenant] = entry.start  # it costs its tenant nothing
        if not self._entries:
            self._finishes.clear()  # with nobody waiting, nobody is behind
            self.work = 0.0  # what rounding has left

    def work_before(self, entry: Entry) -> float:
        """Return the work of those that would be served before an entry that is not in it."""
        index = bisect_left(self._keys, entry.key)
        if index <= len(self._keys) // 2:
            return sum(one.work for one in self._entries[:index])
        return self.work - sum(one.work for one in self._entries[index:])
