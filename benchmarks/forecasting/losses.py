"""What forecasts lose at the same origins, and how sure a ratio of two of them is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from peers.forecasters import QUANTILES

from forecaster.scoring import scores
from forecasting.tested import Floats, Indices, Tested

NAIVE = "seasonal naive, daily"
_NAIVE_DAYS = 8
_MIDDLE = slice(0, 9)  # .1 to .9 of QUANTILES: what the loss is a mean over
_MEDIAN = QUANTILES.index(0.5)
_DRAWS = 2000
_NORMAL = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])


@dataclass(frozen=True, slots=True)
class Interval:
    """A number, and where it lies with 95 % when origins are drawn again."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"[{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class Results:
    """Forecasts of one series by every subject, each origins x steps x levels."""

    series: Tested
    origins: Indices
    actual: Floats  # origins x steps
    told: Mapping[str, Floats]

    def lost(self, subject: str, steps: int) -> Floats:
        """Return twice the pinball loss of each origin, summed over steps, as a mean of levels."""
        told = self.told[subject][:, :steps, _MIDDLE]
        lost = scores.pinball_losses(self.actual[:, :steps], told, QUANTILES[_MIDDLE])
        return 2.0 * np.nansum(lost.mean(axis=-1), axis=1)

    def lost_by(self, subjects: Sequence[str], steps: int) -> dict[str, float]:
        """Return the loss of each of these subjects that forecast this series."""
        return {who: float(self.lost(who, steps).sum()) for who in subjects if who in self.told}

    def weighted_loss(self, subject: str, steps: int) -> float:
        """Return the weighted quantile loss."""
        asked = float(np.nansum(np.abs(self.actual[:, :steps])))
        return float(self.lost(subject, steps).sum()) / asked

    def scaled_error(self, subject: str, steps: int) -> float:
        """Return the mean absolute error over that of the daily naive in the history."""
        counts, season = self.series.counts, self.series.season
        scales = [scores.naive_scale(counts[: origin + 1], season) for origin in self.origins]
        path = self.told[subject][:, :steps, _MEDIAN]
        return scores.scaled_error(self.actual[:, :steps], path, np.array(scales))

    def coverage(self, subject: str, steps: int, level: float) -> Interval:
        """Return the share of counts at or below the quantile of a level."""
        told = self.told[subject][:, :steps, QUANTILES.index(level)]
        actual = self.actual[:, :steps]
        known = np.isfinite(actual)
        below = known & (actual <= told * (1 + 1e-9))
        again = _drawn(self.origins.size, seed=0)
        shares = (again @ below.sum(axis=1)) / (again @ known.sum(axis=1))
        low, high = np.percentile(shares, [2.5, 97.5])
        return Interval(float(below.sum() / known.sum()), float(low), float(high))


def ratio(results: Sequence[Results], subject: str, other: str, steps: int) -> Interval:
    """Return the geometric mean of the loss over another's; origins are drawn in pairs.

    Over the series that both forecast.
    """
    logs, drawn = [], []
    for number, one in enumerate(results):
        if not {subject, other} <= one.told.keys():
            continue
        lost = np.stack([one.lost(subject, steps), one.lost(other, steps)])
        again = _drawn(one.origins.size, seed=number) @ lost.T
        logs.append(np.log(lost[0].sum() / lost[1].sum()))
        drawn.append(np.log(again[:, 0] / again[:, 1]))
    low, high = np.percentile(np.mean(drawn, axis=0), [2.5, 97.5])
    return Interval(*(float(np.exp(log)) for log in (np.mean(logs), low, high)))


def daily_naive(series: Tested, filled: Floats, origin: int, horizon: int) -> Floats:
    """Return the counts of a day before, with the normal errors that this had: steps x levels."""
    season = series.season
    past = filled[max(0, origin + 1 - _NAIVE_DAYS * season) : origin + 1]
    spread = (past[season:] - past[:-season]).std()
    path = past[past.size - season : past.size - season + horizon]
    return np.maximum(path[:, None] + spread * _NORMAL, 0.0)


def _drawn(size: int, *, seed: int) -> Floats:
    """Return how often each origin is drawn again: draws x origins."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(size, np.full(size, 1.0 / size), size=_DRAWS).astype(float)
