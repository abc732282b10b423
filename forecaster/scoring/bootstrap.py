"""The paired bootstrap: how sure a ratio of losses is, given the origins that it rests on."""

from dataclasses import dataclass

import numpy as np

from forecaster.history import Floats

DRAWS = 2000
_LEAST_BLOCKS = 3  # of fewer, most draws are the same


@dataclass(frozen=True, slots=True)
class LossRatio:
    """One loss over another at the same origins, and the interval that resampling gives it."""

    ratio: float  # below 1: the first one loses less
    low: float
    high: float
    origins: int  # compared

    @property
    def is_within_noise(self) -> bool:
        """Whether the origins do not tell which of the two loses less."""
        return not (self.high < 1.0 or self.low > 1.0)


def ratio_of_losses(
    losses: Floats,
    others: Floats,
    generator: np.random.Generator,
    *,
    confidence: float = 0.95,
    block: int = 1,
) -> LossRatio:
    """Return the sum of losses over the sum of the others'; each has one value for each origin.

    `block` neighbouring origins are drawn together, where origins are so close that they share
    their luck. An origin where either is unknown does not count. Fewer than three blocks leave
    open how sure the ratio is: its interval is NaN.
    """
    known = np.isfinite(losses) & np.isfinite(others)
    count = int(known.sum())
    if not count or others[known].sum() <= 0:
        return LossRatio(float("nan"), float("nan"), float("nan"), count)
    ratio = float(losses[known].sum() / others[known].sum())
    if count < _LEAST_BLOCKS * block:
        return LossRatio(ratio, float("nan"), float("nan"), count)
    drawn = _resampled(np.stack([losses[known], others[known]]), generator, block=block)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = drawn[0] / drawn[1]
    tail = 50.0 * (1.0 - confidence)
    low, high = np.nanpercentile(ratios, [tail, 100.0 - tail])
    return LossRatio(ratio, float(low), float(high), count)


def _resampled(pairs: Floats, generator: np.random.Generator, *, block: int) -> Floats:
    """Return sums over origins drawn again, 2 x draws; the last block runs into the first."""
    size = pairs.shape[1]
    length = min(max(block, 1), size)
    around = np.concatenate([pairs, pairs[:, : length - 1]], axis=1)
    ends = np.cumsum(np.pad(around, ((0, 0), (1, 0))), axis=1)
    blocks = ends[:, length:] - ends[:, :-length]
    starts = generator.integers(0, size, size=(DRAWS, -(-size // length)))
    return np.asarray(blocks[:, starts].sum(axis=-1))
