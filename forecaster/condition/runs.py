"""Runs: the stretches of steps over which a condition holds, which findings are made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Run:
    """Steps from `start` up to but not including `stop`."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of steps."""
        return self.stop - self.start

    @property
    def steps(self) -> slice:
        """The steps, as an index."""
        return slice(self.start, self.stop)


def runs(mask: Mask) -> list[Run]:
    """Return the longest stretches over which `mask` is true, in their order."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [Run(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def covered(stretches: list[Run], size: int) -> Mask:
    """Return which of `size` steps lie in one of the stretches."""
    mask = np.zeros(size, dtype=np.bool_)
    for run in stretches:
        mask[run.steps] = True
    return mask
