"""The likeliest tokens of many rows of logits, found without sorting vocabularies."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_PAD = np.iinfo(np.uint64).max
_BINS_PER_NAT, _BINS = 16, 1024  # the last bin holds what is e^64 times less likely than the first
_ROUNDING = 1 + 1e-6  # more than the sums below can be off
_SLAB = 2**16  # logits worked on at once: they stay in the cache


class Candidates(NamedTuple):
    """Tokens [R, W] from the likeliest down, and their logits; -inf where a row has fewer."""

    tokens: NDArray[np.intp]
    logits: NDArray[np.float32]


def likeliest(logits: NDArray[np.float32], floors: NDArray[np.float32]) -> Candidates:
    """Return the tokens whose logits reach their row's floor; among equals the first leads.

    A token that is excluded (-inf) reaches none.
    """
    rows, tokens = _reaching(logits, floors)
    found = np.bincount(rows, minlength=len(logits))
    starts = np.repeat(found.cumsum() - found, found)
    keys = np.full((len(logits), max(1, int(found.max()))), _PAD, np.uint64)
    keys[rows, np.arange(len(rows)) - starts] = _keys(logits[rows, tokens], tokens)
    keys.sort(axis=1)
    ordered = (keys & np.uint64(2**32 - 1)).astype(np.intp)
    is_pad = keys == _PAD
    ordered[is_pad] = 0
    scores = np.take_along_axis(logits, ordered, axis=1)
    scores[is_pad] = -np.inf
    return Candidates(ordered, scores)


def floor_of_count(logits: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return a logit for each row that at least `count` of its tokens reach.

    The tokens are dealt out to piles: so many piles reach the `count`-th highest of the piles'
    maxima, hence so many tokens do. With 8 piles for each, few others do.
    """
    vocabulary = logits.shape[1]
    piles = min(8 * count, vocabulary // 4)
    if piles <= count:
        return np.full(len(logits), -np.inf, np.float32)
    depth = vocabulary // piles
    dealt = logits[:, : depth * piles].reshape(len(logits), depth, piles)
    lowest = piles - count
    floors: NDArray[np.float32] = np.partition(dealt.max(axis=1), lowest, axis=1)[:, lowest]
    return floors


def floor_of_share(
    logits: NDArray[np.float32], temperatures: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return a logit for each row that tokens with this share of its probability reach."""
    peaks = logits.max(axis=1)
    floors = [
        _histogram_floor(logits[part], peaks[part], temperatures[part], shares[part])
        for part in slabs(*logits.shape)
    ]
    return np.concatenate(floors)


def mass(
    logits: NDArray[np.float32], peaks: NDArray[np.float32], temperatures: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sum of exp((logit - peak) / temperature) over each row."""
    sums = [
        weights(logits[part], peaks[part], temperatures[part]).sum(axis=1)
        for part in slabs(*logits.shape)
    ]
    return np.concatenate(sums).astype(np.float64)


def weights(
    logits: NDArray[np.float32], peaks: NDArray[np.float32], temperatures: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return exp((logit - peak) / temperature): 1 for the likeliest token of each row."""
    scaled: NDArray[np.float32] = logits - peaks[:, None]
    scaled /= temperatures[:, None].astype(np.float32)
    np.exp(scaled, out=scaled)
    return scaled


def slabs(rows: int, vocabulary: int) -> list[slice]:
    """Cut rows into slices that are small enough for the cache."""
    step = max(1, _SLAB // vocabulary)
    return [slice(start, start + step) for start in range(0, rows, step)]


def _histogram_floor(
    logits: NDArray[np.float32],
    peaks: NDArray[np.float32],
    temperatures: NDArray[np.float64],
    shares: NDArray[np.float64],
) -> NDArray[np.float32]:
    rows = np.arange(len(logits))
    weight = weights(logits, peaks, temperatures)
    with np.errstate(divide="ignore"):
        depth = np.minimum(np.log(weight) * -_BINS_PER_NAT, _BINS - 1).astype(np.intp)
    cells = (depth + rows[:, None] * _BINS).ravel()
    filled = np.bincount(cells, weight.ravel(), len(logits) * _BINS).reshape(-1, _BINS)
    rising = filled.cumsum(axis=1)
    enough = (rising < shares[:, None] * _ROUNDING * rising[:, -1:]).sum(axis=1)
    reached = depth <= enough[:, None]
    floors: NDArray[np.float32] = logits.min(axis=1, where=reached, initial=np.inf)
    return floors


def _reaching(
    logits: NDArray[np.float32], floors: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and tokens of all logits that reach their row's floor, row by row."""
    lowest = np.maximum(floors, np.finfo(np.float32).min)
    flat = np.flatnonzero(logits >= lowest[:, None])  # 10 times as fast as a nonzero of the matrix
    rows, tokens = np.divmod(flat, logits.shape[1])
    return rows, tokens


def _keys(logits: NDArray[np.float32], tokens: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Return integers in the order of falling logits and, among equals, of rising tokens."""
    bits = np.ascontiguousarray(logits).view(np.uint32)
    # The bits of positive floats rise with them, those of negative ones fall.
    falling = np.where(bits >> 31, bits, bits ^ np.uint32(2**31 - 1))
    return (falling.astype(np.uint64) << np.uint64(32)) | tokens.astype(np.uint64)
