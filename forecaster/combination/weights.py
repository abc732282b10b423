"""Weights: each member counts by how little its quantiles lost at the recent origins."""

from collections.abc import Sequence

import numpy as np

from forecaster.combination.asking import Answer, Past
from forecaster.combination.quantiles import mean_loss, quantiles_by_level
from forecaster.history import Floats

BUCKETS_MINUTES = (5.0, 15.0, 60.0)  # ends of the horizon buckets; what is beyond is in the last
LEVELS = np.array([0.1, 0.3, 0.5, 0.7, 0.9, 0.97])  # what members are judged at
_SHARPNESS = 12.0  # after many errors: a member that loses 10 % more counts by exp(-1.2)
_CONVINCING = 100.0  # errors after which half of the sharpness is reached


def losses(answers: Sequence[Answer], past: Past, scale: Floats) -> Floats:
    """Return the mean loss of each member's own quantiles: members x horizons; NaN if unknown.

    The quantiles are of the member's errors in `scale`, origins x horizons.
    """
    return np.stack([_loss(answer, past, scale[..., None]) for answer in answers])


def buckets(minutes: Floats) -> list[int]:
    """Return the horizon bucket of each horizon."""
    index = np.searchsorted(BUCKETS_MINUTES, minutes - 1e-9)
    return [min(int(one), len(BUCKETS_MINUTES) - 1) for one in index]


def weigh(lost: Floats, bucket: Sequence[int], *, matured: float) -> Floats:
    """Return the weight of each member at each horizon, from the losses of its bucket.

    Few matured errors convince little; where no loss is known all count the same.
    """
    weights = np.empty_like(lost)
    sharpness = _SHARPNESS * matured / (matured + _CONVINCING)
    for one in set(bucket):
        inside = np.equal(bucket, one)
        weights[:, inside] = _share(_mean_known(lost[:, inside]), sharpness)[:, None]
    return weights


def _loss(answer: Answer, past: Past, scale: Floats) -> Floats:
    errors = past.actual[..., None] - answer.at(LEVELS)
    own = quantiles_by_level(errors / scale, past.recency, LEVELS)
    return np.asarray(mean_loss(errors - own * scale, past.recency, LEVELS).mean(axis=-1))


def _mean_known(lost: Floats) -> Floats:
    known = np.isfinite(lost)
    count = known.sum(axis=1)
    total = np.where(known, lost, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _share(lost: Floats, sharpness: float) -> Floats:
    known = np.isfinite(lost)
    if not known.any():
        return np.full(lost.size, 1.0 / lost.size)
    best = max(float(lost[known].min()), 1e-12)
    excess = np.where(known, lost, best) / best - 1.0
    share = np.where(known, np.exp(-sharpness * excess), 0.0)
    return np.asarray(share / share.sum())
