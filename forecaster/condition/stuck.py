"""Stuck collectors: one value again and again, in a series that otherwise moves."""

import numpy as np
from numpy.typing import NDArray

from forecaster.condition.runs import Run, runs

Floats = NDArray[np.float64]

_LEAST = 6  # steps; fewer repeats tell nothing
_CHANCE = 1e-4  # of one such stretch in the whole history, were repeats independent
_STILL = 0.3  # of the rest repeats: the series stands still of itself
_PAIRS_TO_KNOW = 20  # outside the stretch, before it can be said that the series moves


def stuck(values: Floats) -> list[Run]:
    """Return the stretches that repeat one value above zero for longer than chance does.

    The chance of a repeat is that of the rest of the series, or of the value in it: small counts
    repeat often, and a series that hardly ever moves is not stuck.
    """
    repeats = np.zeros(values.size, dtype=np.bool_)
    repeats[1:] = (values[1:] == values[:-1]) & (values[1:] > 0)
    pairs = int((np.isfinite(values[1:]) & np.isfinite(values[:-1])).sum())
    total = int(repeats.sum())
    return [
        Run(run.start - 1, run.stop)
        for run in runs(repeats)
        if run.size + 1 >= _LEAST
        and _is_improbable(
            run.size,
            repeats=total - run.size,
            same=int((values == values[run.start]).sum()) - run.size - 1,
            pairs=pairs - run.size,
        )
    ]


def _is_improbable(size: int, *, repeats: int, same: int, pairs: int) -> bool:
    if pairs < _PAIRS_TO_KNOW or repeats > _STILL * pairs:
        return False
    chance = (max(repeats, same) + 1) / (pairs + 1)
    return bool(size * np.log(chance) + np.log(pairs + size) < np.log(_CHANCE))
