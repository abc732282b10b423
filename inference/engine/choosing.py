"""From logits and one uniform number per row to one token per row, many rows at once.

Nothing of a row depends on the rows beside it.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inference.engine.candidates import (
    floor_of_count,
    floor_of_share,
    likeliest,
    mass,
    slabs,
    weights,
)

_T = TypeVar("_T", bound=np.generic)
_GUESS = 64  # tokens that most nuclei fit into
_BLOCK = 256  # weights that are summed before the draw looks into them


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """What each row may draw: arrays [R] of settings, with their neutral values."""

    temperature: NDArray[np.float64]  # above 0
    top_k: NDArray[np.int64]  # 0 keeps all
    top_p: NDArray[np.float64]  # 1 keeps all
    min_p: NDArray[np.float64]  # 0 keeps all

    def of(self, rows: NDArray[np.intp]) -> "Cuts":
        """Return the settings of some rows."""
        return Cuts(self.temperature[rows], self.top_k[rows], self.top_p[rows], self.min_p[rows])


def choose_tokens(
    logits: NDArray[np.float32], cuts: Cuts, uniforms: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Draw one token per row [R, V]: temperature, then top-k, top-p and min-p.

    The cuts are Hugging Face's in Hugging Face's order: top-p counts probability within the
    top k; min-p is relative to the likeliest token.
    """
    drawn = np.empty(len(logits), np.intp)
    is_cut = (cuts.top_k > 0) | (cuts.top_p < 1)
    for rows, draw in ((is_cut, _among_likeliest), (~is_cut, _among_all)):
        if rows.all():
            return draw(logits, cuts, uniforms)
        if rows.any():
            (of,) = rows.nonzero()
            drawn[of] = draw(logits[of], cuts.of(of), uniforms[of])
    return drawn


def _among_likeliest(
    logits: NDArray[np.float32], cuts: Cuts, uniforms: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Draw from the head of each row's vocabulary, and look further where it is too short."""
    head = floor_of_count(logits, int(max(cuts.top_k.max(), _GUESS)))
    drawn, is_short = _above(logits, head, cuts, uniforms)
    (short,) = is_short.nonzero()
    if len(short):
        far, of = logits[short], cuts.of(short)
        drawn[short], _ = _above(
            far, floor_of_share(far, of.temperature, of.top_p), of, uniforms[short]
        )
    return drawn


def _above(
    logits: NDArray[np.float32],
    floors: NDArray[np.float32],
    cuts: Cuts,
    uniforms: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Draw from the tokens above the floors; tell of each row whether its nucleus goes deeper."""
    found = likeliest(logits, floors)
    share = np.exp((found.logits - found.logits[:, :1]) / cuts.temperature[:, None])
    rising = share.cumsum(axis=1)
    wanted = cuts.top_p * _totals(logits, rising, cuts)
    is_short = (cuts.top_k == 0) & (rising[:, -1] < wanted)
    kept = np.minimum(_limits(cuts, rising.shape[1]), 1 + (rising < wanted[:, None]).sum(axis=1))
    kept = np.minimum(kept, np.maximum(1, (share >= cuts.min_p[:, None]).sum(axis=1)))
    last = _take(rising, kept - 1)
    return _take(found.tokens, _first_above(rising, uniforms * last, last)), is_short


def _totals(
    logits: NDArray[np.float32], rising: NDArray[np.float64], cuts: Cuts
) -> NDArray[np.float64]:
    """Return the weight of all tokens that top-p counts: the top k or the vocabulary."""
    ends = _limits(cuts, rising.shape[1]) - 1
    totals = _take(rising, ends)
    (whole,) = ((cuts.top_k == 0) & (cuts.top_p < 1)).nonzero()
    if len(whole):
        of = logits if len(whole) == len(logits) else logits[whole]
        totals[whole] = mass(of, of.max(axis=1), cuts.temperature[whole])
    return totals


def _limits(cuts: Cuts, width: int) -> NDArray[np.int64]:
    """Return how many of `width` candidates top-k leaves."""
    return np.where(cuts.top_k > 0, np.minimum(cuts.top_k, width), width)


def _among_all(
    logits: NDArray[np.float32], cuts: Cuts, uniforms: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Draw from whole vocabularies."""
    peaks = logits.max(axis=1)
    drawn = np.empty(len(logits), np.intp)
    for part in slabs(*logits.shape):
        share = weights(logits[part], peaks[part], cuts.temperature[part])
        if cuts.min_p[part].any():
            share[share < cuts.min_p[part, None]] = 0
        drawn[part] = _spin(share, uniforms[part])
    return drawn


def _spin(share: NDArray[np.float32], uniforms: NDArray[np.float64]) -> NDArray[np.intp]:
    """Draw by weight: first the block of tokens, then the token within it."""
    vocabulary = share.shape[1]
    blocks = np.add.reduceat(share, np.arange(0, vocabulary, _BLOCK), axis=1)
    rising = blocks.cumsum(axis=1, dtype=np.float64)
    target = uniforms * rising[:, -1]
    block = _first_above(rising, target, rising[:, -1])
    before = _take(rising, block) - _take(blocks, block)
    tokens = block[:, None] * _BLOCK + np.arange(_BLOCK)
    inner = np.take_along_axis(share, np.minimum(tokens, vocabulary - 1), axis=1)
    inner[tokens >= vocabulary] = 0
    within = inner.cumsum(axis=1, dtype=np.float64)
    index = _first_above(within, np.maximum(target - before, 0), within[:, -1])
    return block * _BLOCK + index


def _take(values: NDArray[_T], columns: NDArray[np.intp]) -> NDArray[_T]:
    """Return one value of each row."""
    return values[np.arange(len(values)), columns]


def _first_above(
    rising: NDArray[np.float64], targets: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return for each row where it first exceeds its target, which rounding keeps below its end.

    A token of no weight does not raise the sum, and is never the one.
    """
    below = np.minimum(targets, np.nextafter(ends, 0))
    index: NDArray[np.intp] = (rising <= below[:, None]).sum(axis=1)
    return index
