"""Which model to believe: the one whose quantiles did best at recent origins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecaster.conformal import Backtest, add_offsets, offsets, run_backtest
from forecaster.models.baselines import SeasonalNaive
from forecaster.models.model import Floats, Indices, Model
from forecaster.models.smoothing import ExponentialSmoothing
from forecaster.scores import coverage, pinball

_LEAST_ORIGINS = 16  # half of them to calibrate on, half to score on
_MOST_ORIGINS = 288
_LEAST_SEEN = 0.5  # share of a season that must not be gaps


@dataclass(frozen=True, slots=True)
class Scorecard:
    """How a model did at recent origins; the newer half is scored by the errors of the older."""

    model: Model
    backtest: Backtest
    pinball: float  # NaN where the history is too short to score
    coverage: Mapping[float, float]  # share of demand at or below each quantile

    @property
    def residuals(self) -> int:
        """Past errors known at every step ahead."""
        return int(np.isfinite(self.backtest.residuals).sum(axis=0).min())


def score_models(
    history: Floats, *, season: int, horizon: int, quantiles: Sequence[float], step: float
) -> list[Scorecard]:
    """Return the scorecards of the models that the history allows, the best first."""
    cards = [
        _score(
            model,
            run_backtest(model, history, horizon, _origins(history, first)),
            quantiles=quantiles,
            step=step,
        )
        for model, first in _candidates(history, season)
    ]
    return sorted(cards, key=lambda card: (np.isnan(card.pinball), card.pinball))


def _candidates(history: Floats, season: int) -> list[tuple[Model, int]]:
    """Models, and the first origin from which each may be judged: the same where both may."""
    smoothing = ExponentialSmoothing()
    first = season - 1
    seen = np.isfinite(history[:season]).mean() if history.size else 0.0
    if history.size < season + _LEAST_ORIGINS or seen < _LEAST_SEEN:
        return [(smoothing, 0)]
    return [(SeasonalNaive(season), first), (smoothing, first)]


def _origins(history: Floats, first: int) -> Indices:
    """Return the latest origins after which at least one step is known."""
    last = history.size - 1
    return np.arange(max(first, last - _MOST_ORIGINS), last)


def _score(
    model: Model, backtest: Backtest, *, quantiles: Sequence[float], step: float
) -> Scorecard:
    origins, horizon = backtest.paths.shape
    if origins < _LEAST_ORIGINS:
        return Scorecard(model, backtest, float("nan"), {})
    middle = origins // 2
    # The older half ends early enough that none of its errors was known too late.
    older = backtest.part(slice(0, max(1, middle - horizon + 1)))
    newer = backtest.part(slice(middle, None))
    forecast = add_offsets(newer.paths, offsets(older, quantiles, step=step))
    return Scorecard(
        model,
        backtest,
        pinball(newer.actual, forecast, quantiles),
        {
            quantile: coverage(newer.actual, forecast[..., level])
            for level, quantile in enumerate(quantiles)
        },
    )
