"""Conformal calibration: quantiles of a path from its own errors at past origins.

No distribution is assumed, only that errors go on as they were when measured in a scale.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from forecaster.combination.asking import Past
from forecaster.combination.quantiles import mean_loss, quantiles_by_level
from forecaster.history import Floats

_WIDENING = 4.0  # n independent errors see too little of the tails: wider by 1 + 4/n
_SHARPNESS = 30.0  # a scale whose quantiles lose 10 % more counts by exp(-3)
_POOL = 40.0  # independent errors below which those of other horizons and siblings count too
_SMOOTHINGS = 2
_TRACKED_FROM = 0.9  # the quantiles that pools are sized by
_PACE = 0.05  # of the scale, at each origin


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of errors before there are any: `scaled` rows x horizons of siblings.

    `least` is a standard deviation on the root scale that no demand is below.
    """

    scaled: Floats
    least: float = 0.0


def spread(past: Past, centre: Floats, scales: Floats, levels: Floats, prior: Prior) -> Floats:
    """Return quantiles at every origin: origins x horizons x levels, on the root scale.

    `centre` is origins x horizons x (1 or levels), `scales` kinds x origins x horizons. Each
    scale gives quantiles; they are averaged by how little they would have lost.
    """
    actual = past.actual[..., None]
    candidates = [
        centre + _offsets((actual - centre) / scale, past, levels, prior, scale) * scale
        for scale in scales[..., None]
    ]
    lost = np.stack([mean_loss(actual - one, past.recency, levels) for one in candidates])
    shares = _shares(np.where(np.isfinite(lost), lost, 1.0))
    return np.asarray(sum(s * one for s, one in zip(shares, candidates, strict=True)))


def track(past: Past, quantiles: Floats, scale: Floats, levels: Floats) -> Floats:
    """Return how far the decision quantiles are to be moved now: horizons x levels.

    After each origin whose demand is known, a quantile goes up by its pace times its level where
    demand was above it, and down by the rest where not, so that its share comes out right in
    the long run (adaptive conformal inference, Gibbs and Candes 2021). The others stay.
    """
    moved = np.zeros((past.horizons.size, levels.size))
    tracked = levels >= _TRACKED_FROM
    level = levels[tracked]
    above = (past.actual[..., None] - quantiles[..., tracked]) / scale[..., None]
    state = np.zeros((past.horizons.size, level.size))
    for errors in above:
        step = _PACE * np.where(errors > state, level, level - 1.0)
        state = state + np.where(np.isfinite(errors), step, 0.0)
    moved[:, tracked] = state * scale[-1][:, None]
    return moved


def _shares(lost: Floats) -> Floats:
    best = np.maximum(lost.min(axis=0), 1e-12)
    share = np.exp(-_SHARPNESS * (lost / best - 1.0))
    return np.asarray(share / share.sum(axis=0))


def _offsets(scaled: Floats, past: Past, levels: Floats, prior: Prior, scale: Floats) -> Floats:
    """Return what each quantile adds to the centre, in scales: horizons x levels."""
    errors, weights, told = _pooled(scaled, past, prior)
    spread_known = quantiles_by_level(errors, weights, levels)
    middle = quantiles_by_level(errors, weights, np.full(scaled.shape[-1], 0.5))
    middle = np.nan_to_num(middle)
    outward = np.nan_to_num(spread_known) - middle
    normal = np.array([NormalDist().inv_cdf(float(level)) for level in levels])
    # Beyond the last of the errors there is only a guess: the wider of theirs and a normal one.
    guess = normal * np.maximum(_deviation(errors), prior.least / scale[-1])
    unseen = np.minimum(levels, 1.0 - levels) * (told + 1.0) < 1.0
    outward = np.where(unseen & (np.abs(guess) > np.abs(outward)), guess, outward)
    return _smooth(_shared(middle + outward * (1.0 + _WIDENING / told), told))


def _shared(offsets: Floats, told: Floats) -> Floats:
    """Let horizons that few errors tell of take after all: else each is a draw of its own."""
    own = np.clip(told / _POOL, 0.0, 1.0)
    mean = (told * offsets).sum(axis=0) / told.sum()
    return np.asarray(own * offsets + (1.0 - own) * mean)


def _smooth(offsets: Floats) -> Floats:
    """Even out neighbouring horizons: few errors make each of them rough in its own way."""
    for _ in range(_SMOOTHINGS if len(offsets) > 2 else 0):  # noqa: PLR2004 - two have no middle
        between = 0.25 * offsets[:-2] + 0.5 * offsets[1:-1] + 0.25 * offsets[2:]
        offsets = np.concatenate([offsets[:1], between, offsets[-1:]])
    return offsets


def _pooled(scaled: Floats, past: Past, prior: Prior) -> tuple[Floats, Floats, Floats]:
    """Add the errors of siblings to few of our own, so that they count as the missing ones.

    Returns errors, the weight of each row, and how many independent errors that makes.
    """
    told = float(past.told.min())
    rows = len(prior.scaled)
    if rows == 0 or told >= _POOL or scaled.shape[-1] != 1:
        return scaled, past.recency, past.told[:, None]
    own = max(float(past.recency.sum()), 1e-12)
    weight = own * (_POOL - told) / told / rows
    return (
        np.concatenate([scaled, prior.scaled[..., None]]),
        np.concatenate([past.recency, np.full(rows, weight)]),
        np.maximum(past.told, _POOL)[:, None],
    )


def _deviation(errors: Floats) -> Floats:
    """Return the root mean square of what is known at each horizon: horizons x (1 or levels)."""
    known = np.isfinite(errors)
    squares = np.where(known, errors, 0.0) ** 2
    return np.asarray(np.sqrt(squares.sum(axis=0) / np.maximum(known.sum(axis=0), 1)))
