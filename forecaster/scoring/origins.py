"""Where forecasts are scored from: origins drawn at random, spread over the tested part."""

import math
from itertools import pairwise

import numpy as np

from forecaster.demand.demand import Demand
from forecaster.history import Indices, Mask


def stratified_origins(
    demand: Demand, *, count: int, horizon: int, first: int, seed: int = 0
) -> Indices:
    """Return one random origin in each of `count` equal parts of what comes from `first` on.

    An origin is the index of the last step that may be looked at. Only where that step is known
    and so is at least half of the horizon; a part without such a step has no origin.
    """
    known = np.isfinite(demand.rate.values)
    last = demand.size - 1 - (horizon + 1) // 2
    if last < first:
        return np.empty(0, np.int64)
    fit = known & (2 * _known_ahead(known, horizon) >= horizon)
    generator = np.random.default_rng(seed)
    edges = np.linspace(first, last + 1, min(count, last + 1 - first) + 1).round().astype(np.int64)
    drawn = []
    for start, stop in pairwise(edges.tolist()):
        candidates = start + np.flatnonzero(fit[start:stop])
        if candidates.size:
            drawn.append(int(generator.choice(candidates)))
    return np.array(drawn, np.int64)


def block_of(origins: Indices, ahead: int) -> int:
    """Return how many neighbouring origins see some of the same steps `ahead`, 1 if none do."""
    if origins.size < 2:  # noqa: PLR2004 - it takes two to be near
        return 1
    return max(1, math.ceil(ahead / float(np.median(np.diff(origins)))))


def _known_ahead(known: Mask, horizon: int) -> Indices:
    """Return how many of the `horizon` steps after each step are known."""
    ends = np.concatenate([[0], np.cumsum(known)])
    after = np.arange(1, known.size + 1)
    return np.asarray(ends[np.minimum(after + horizon, known.size)] - ends[after])
