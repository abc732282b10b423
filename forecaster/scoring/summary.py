"""A backtest in numbers: overall, for each bucket of the horizon, and over simple forecasts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forecaster.combination.weights import BUCKETS_MINUTES
from forecaster.history import Floats
from forecaster.scoring import scores
from forecaster.scoring.backtest import Backtest


@dataclass(frozen=True, slots=True)
class Scores:
    """How the forecasts of one stretch of the horizon did; NaN where nothing could be compared."""

    begins: float  # minutes ahead, not included
    ends: float  # minutes ahead
    points: int  # values compared
    loss: float  # mean pinball loss, in the demand's unit
    relative_loss: float  # 2 x pinball loss over the sum of what was asked
    scaled_error: float  # MASE: 1 is what the day before would have given in the past
    over_yesterday: float  # loss over that of the daily seasonal naive; below 1 is better
    over_last: float  # loss over that of the last value
    coverage: Mapping[float, float]  # share of what came at or below each level


def summarise(backtest: Backtest) -> Scores:
    """Score the whole horizon at once."""
    return _score(backtest, 0.0, backtest.step * backtest.actual.shape[1] / 60.0)


def by_horizon(backtest: Backtest) -> tuple[Scores, ...]:
    """Score each bucket of the horizon that has a step in it, the nearest first."""
    whole = backtest.step * backtest.actual.shape[1] / 60.0
    ends = [minutes for minutes in BUCKETS_MINUTES if minutes < whole] + [whole]
    begins = [0.0, *ends[:-1]]
    parts = [
        (backtest.between(begin, end), begin, end) for begin, end in zip(begins, ends, strict=True)
    ]
    return tuple(_score(*part) for part in parts if part[0].actual.shape[1])


def pit_shares(backtest: Backtest, generator: np.random.Generator, *, bins: int = 10) -> Floats:
    """Return the histogram of the PIT: flat where the forecasts are right."""
    drawn = scores.pit(backtest.actual, backtest.forecast, backtest.levels, generator)
    return scores.histogram(drawn, bins)


def _score(backtest: Backtest, begins: float, ends: float) -> Scores:
    actual, forecast, levels = backtest.actual, backtest.forecast, backtest.levels
    return Scores(
        begins,
        ends,
        int(np.isfinite(actual).sum()),
        scores.pinball(actual, forecast, levels),
        scores.weighted_quantile_loss(actual, forecast, levels),
        scores.scaled_error(actual, backtest.median, backtest.scales),
        _ratio(backtest, backtest.yesterday),
        _ratio(backtest, backtest.last),
        scores.coverages(actual, forecast, levels),
    )


def _ratio(backtest: Backtest, other: Floats) -> float:
    """Return the loss over another forecast's, where both can be compared."""
    mine = scores.pinball_losses(backtest.actual, backtest.forecast, backtest.levels)
    others = scores.pinball_losses(backtest.actual, other, backtest.levels)
    known = np.isfinite(mine) & np.isfinite(others)
    lost = float(others[known].sum())
    return float(mine[known].sum()) / lost if lost > 0 else float("nan")
