"""Siblings: like demands whose errors stand in for those of a series that has few of its own."""

from collections.abc import Sequence

import numpy as np

from forecaster.combination.asking import Past
from forecaster.combination.scales import restlessness
from forecaster.demand.demand import Demand
from forecaster.history import Floats, History, Indices
from forecaster.models.levels import MovingAverage
from forecaster.settings import ForecastSettings

_MODEL = MovingAverage(15)  # what a short history is forecast by
_LEAST_STEPS = 30
_MOST_ROWS = 400  # of each sibling


def sibling_errors(
    siblings: Sequence[Demand], settings: ForecastSettings, horizons: Indices
) -> Floats:
    """Return errors of siblings' levels, in their own scales: rows x horizons, NaN for gaps.

    Scales make them comparable whatever their traffic; a sibling on another grid has no say.
    """
    rows = [
        _errors(one.telling[-settings.history_steps :], settings, horizons)
        for one in siblings
        if one.step == settings.step_seconds
    ]
    return np.concatenate(rows) if rows else np.empty((0, horizons.size))


def _errors(rates: Floats, settings: ForecastSettings, horizons: Indices) -> Floats:
    if np.isfinite(rates).sum() < _LEAST_STEPS:
        return np.empty((0, horizons.size))
    history = History.of_rates(rates, step=settings.step_seconds, season=settings.season_steps)
    past = Past.of(history, first=int(horizons[0]), last=int(horizons[-1]))
    paths = _MODEL.fit(history).paths(past.origins, horizons)[..., 0]
    scaled = (history.after(past.origins, horizons) - paths) / restlessness(history).local[
        past.origins, None
    ]
    return np.asarray(scaled[-_MOST_ROWS:])
