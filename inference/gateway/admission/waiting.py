"""Those who wait for one model: classes by priority, each a fair queue, with ageing."""

import heapq
from collections.abc import Iterator
from itertools import islice

from inference.gateway.admission.entry import Entry
from inference.gateway.admission.fair_queue import FairQueue
from inference.gateway.tenancy.priority import Priority

_Turn = tuple[float, int, int, Entry]
_AGED_COUNTED = 64  # looked at one by one when a wait is predicted; more are taken for all


class Waiting:
    """Requests in line in the order of service.

    The class whose first request arrived first is served, where a class counts as arriving
    `ageing_seconds` later than the one before it: urgent requests overtake, but not for ever.
    That order never changes while requests wait.
    """

    def __init__(self, *, ageing_seconds: float) -> None:
        self._ageing = ageing_seconds
        self._classes = {priority: FairQueue() for priority in Priority}
        self._count = 0
        self._number = 0
        self.tokens = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        """Yield all entries, by class."""
        for one in self._classes.values():
            yield from one

    def count(self, priority: Priority) -> int:
        """Return how many of one class wait."""
        return len(self._classes[priority])

    def schedule(self, entry: Entry) -> None:
        """Give a newcomer its place in line, without letting it in."""
        self._number += 1
        entry.number = self._number
        self._classes[entry.priority].schedule(entry)

    def add(self, entry: Entry) -> None:
        """Let an entry in at the place that it was given."""
        self._classes[entry.priority].add(entry)
        entry.is_waiting = True
        self._count += 1
        self.tokens += entry.tokens

    def remove(self, entry: Entry, *, is_served: bool = False) -> None:
        """Take an entry out of the line."""
        self._classes[entry.priority].remove(entry, is_served=is_served)
        entry.is_waiting = False
        self._count -= 1
        self.tokens -= entry.tokens

    def in_order(self) -> Iterator[Entry]:
        """Yield the entries in the order of service; the line must not change meanwhile."""
        turns = [self._turns(priority) for priority, one in self._classes.items() if one]
        if len(turns) == 1:
            return (entry for _, _, _, entry in turns[0])
        return (entry for _, _, _, entry in heapq.merge(*turns))

    @property
    def least_preferred(self) -> Entry:
        """The entry that would be served last of all."""
        candidates = [(priority, one) for priority, one in self._classes.items() if one]
        _, last = max(candidates, key=lambda pair: (self._turn(pair[1].newest), pair[0].rank))
        return last.last

    def work_before(self, entry: Entry) -> float:
        """Return the work of those that would be served before a scheduled newcomer."""
        turn = self._turn(entry)
        work = self._classes[entry.priority].work_before(entry)
        for priority, one in self._classes.items():
            if priority.rank < entry.priority.rank:
                work += one.work
            elif priority.rank > entry.priority.rank and one:
                work += self._aged_work(priority, turn)
        return work

    def work_of_class(self, priority: Priority) -> float:
        """Return the work that waits in a class and in those that are more urgent."""
        return sum(one.work for each, one in self._classes.items() if each.rank <= priority.rank)

    def _aged_work(self, priority: Priority, turn: float) -> float:
        """Return the work of a less urgent class that has waited for long enough to go first."""
        work = 0.0
        for arrival, _, _, entry in islice(self._turns(priority), _AGED_COUNTED):
            if arrival >= turn:
                return work
            work += entry.work
        return self._classes[priority].work

    def _turns(self, priority: Priority) -> Iterator[_Turn]:
        """Yield the entries of a class as they come, each with its turn among the classes.

        Merging goes by the first of each class: a later turn holds up those behind it.
        """
        for index, entry in enumerate(self._classes[priority]):
            yield self._turn(entry), priority.rank, index, entry

    def _turn(self, entry: Entry) -> float:
        return entry.arrived + entry.priority.rank * self._ageing
