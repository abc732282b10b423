"""Repairs: what is mended while demand is read, each one told, and what is refused instead."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from forecaster.demand.demand import Floats

_Lines = NDArray[np.int64]


class Repair(Enum):
    """What can be mended: how one such row is told, and how several are."""

    REPEATED = (
        "1 row repeats the row before and was counted once",
        "{n} rows repeat the row before and were counted once",
    )
    UNORDERED = (
        "1 row is earlier than the row before and was put in order",
        "{n} rows are earlier than the row before and were put in order",
    )
    NOT_FINITE = (
        "1 cell holds no finite number and counts as a gap",
        "{n} cells hold no finite number and count as gaps",
    )
    RESET = (
        "the counter fell once, which was read as a reset to zero",
        "the counter fell {n} times, which was read as resets to zero",
    )


@dataclass(slots=True)
class Findings:
    """What was mended so far: how often, and where first."""

    word: str = "line"
    _found: dict[Repair, tuple[int, int]] = field(default_factory=dict)

    def note(self, repair: Repair, lines: _Lines) -> None:
        """Remember that rows were mended; none is nothing to remember."""
        if lines.size:
            times, first = self._found.get(repair, (0, int(lines[0])))
            self._found[repair] = (times + int(lines.size), first)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was mended, for people."""
        return tuple(
            f"{repair.value[times > 1].format(n=times)} (first in {self.word} {first})"
            if times > 1
            else f"{repair.value[0]} ({self.word} {first})"
            for repair, (times, first) in self._found.items()
        )


def growth(values: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return how much a counter grew from each reading to the next, and where it was reset.

    A counter that falls counts from zero again; beside a reading that is missing, NaN.
    """
    rises = np.diff(values)
    resets = rises < 0
    return np.where(resets, values[1:], rises), resets
