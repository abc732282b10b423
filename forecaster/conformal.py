"""Quantiles from past errors: no distribution is assumed, only that errors go on as they were.

Errors are taken on a square-root scale, on which the noise of counts does not depend on their
level; so the band is wide where demand is high and never reaches below zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from forecaster.models.model import Floats, Indices, Model

_LEAST_RESIDUALS = 10  # fewer show no quantiles
_WIDENING = 10.0  # n residuals see too little of the tails: widen by 1 + 10/n


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a model expected at past origins, and what came: origins x horizon."""

    paths: Floats
    actual: Floats

    @property
    def residuals(self) -> Floats:
        """Errors on the square-root scale; NaN where either side is a gap."""
        return np.sqrt(self.actual) - np.sqrt(self.paths)

    def part(self, origins: slice) -> "Backtest":
        """Return the part that some of the origins make."""
        return Backtest(self.paths[origins], self.actual[origins])


def run_backtest(model: Model, history: Floats, horizon: int, origins: Indices) -> Backtest:
    """Ask a model at each origin, and set beside it what came; gaps where nothing has yet."""
    ahead = origins[:, None] + np.arange(1, horizon + 1)
    padded = np.concatenate([history, np.full(horizon, np.nan)])
    return Backtest(model.backtest(history, horizon, origins), padded[ahead])


def offsets(backtest: Backtest, quantiles: Sequence[float], *, step: float) -> Floats:
    """Return what each quantile adds to the root of the path: horizon x quantiles."""
    residuals = backtest.residuals
    pooled = residuals[np.isfinite(residuals)]
    rows = []
    for at_horizon in residuals.T:
        known = at_horizon[np.isfinite(at_horizon)]
        enough = known if known.size >= _LEAST_RESIDUALS else pooled
        rows.append(_spread(enough, np.asarray(quantiles), step))
    return np.stack(rows)


def add_offsets(path: Floats, added: Floats) -> Floats:
    """Return the quantiles (... x horizon x quantiles) around a path (... x horizon)."""
    return np.square(np.maximum(np.sqrt(path)[..., None] + added, 0.0))


def _spread(residuals: Floats, quantiles: Floats, step: float) -> Floats:
    count = residuals.size
    if count < _LEAST_RESIDUALS:
        return _guessed_spread(residuals, quantiles, step)
    # As in split conformal prediction, n errors tell of n + 1 places: look further outward.
    outward = np.clip(0.5 + (quantiles - 0.5) * (count + 2) / count, 0.0, 1.0)
    middle = np.median(residuals)
    spread = np.quantile(residuals, outward) - middle
    # Beyond the last of the errors there is only a guess: the wider of theirs and a normal one.
    unseen = np.minimum(quantiles, 1.0 - quantiles) * (count + 1) < 1.0
    guess = _normal(quantiles) * residuals.std()
    outer = np.where(np.abs(guess) > np.abs(spread), guess, spread)
    widened: Floats = middle + np.where(unseen, outer, spread) * (1 + _WIDENING / count)
    return widened


def _guessed_spread(residuals: Floats, quantiles: Floats, step: float) -> Floats:
    """Spread as if normal, as wide as the few errors and no narrower than a Poisson count's."""
    count = max(residuals.size, 1)
    seen = float(np.sqrt(np.square(residuals).sum() / count))
    poisson = 0.5 / np.sqrt(step)  # on the root scale, whatever the rate
    guessed: Floats = _normal(quantiles) * max(seen, poisson) * (1 + _WIDENING / count)
    return guessed


def _normal(quantiles: Floats) -> Floats:
    return np.array([NormalDist().inv_cdf(quantile) for quantile in quantiles])
