"""Damped smoothing and Holt-Winters: a level, a trend that dies down, a season on top.

statsmodels fits the parameters once; the recursion then runs over the history, so that every
origin is answered from the states that were known there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from forecaster.history import History
from forecaster.models.fitting import quietly
from forecaster.models.model import PATH, Floats, Indices

_FITTED_STEPS = 1440  # older ones tell how fast the level moved then, and cost time
_FITTED_SEASONS = 2
_LEAST_STEPS = 30
_LEAST_SEASONS = 2
_PROFILE_MINUTES = 7.0  # to each side: one step of one day is mostly noise
_STILL = 1e-9  # of the scale: values that vary less are one value
_SLOWEST_DAMPING = 0.995


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast the states follow what is seen, and how fast the trend dies down."""

    level: float = 0.2
    trend: float = 0.0
    season: float = 0.0
    damping: float = 0.9


@dataclass(frozen=True, slots=True)
class States:
    """Level and trend after each step, and the season's value at it, all on the root scale.

    `season` begins one season before the first step, so its last season's worth before any
    origin is the season as it was known there.
    """

    level: Floats
    trend: Floats
    season: Floats
    period: int
    rates: Rates
    levels: tuple[float, ...] = PATH

    def paths(self, origins: Indices, horizons: Indices) -> Floats:
        """Return level, trend and season carried on from each origin."""
        damping = self.rates.damping
        growth = damping * (1.0 - damping**horizons) / (1.0 - damping)
        # after a whole season ahead, the same known season is looked up again
        ahead = (horizons - 1) % self.period
        season = self.season[origins[:, None] + 1 + ahead]
        path = self.level[origins][:, None] + self.trend[origins][:, None] * growth + season
        return np.asarray(np.maximum(path, 0.0)[..., None])

    def at(self, history: History) -> "States":
        """Return the states of another history, with the rates that were learnt."""
        return _states(history, self.rates, np.zeros(1) if self.period == 1 else _profile(history))


@dataclass(frozen=True, slots=True)
class DampedTrend:
    """Expects the smoothed level, and its trend as far as that lasts; a gap changes neither."""

    name: str = "damped trend"

    def can_fit(self, history: History) -> bool:
        """Tell whether there are enough values to tell how fast the level moves."""
        return int(history.known.sum()) >= _LEAST_STEPS

    def fit(self, history: History) -> States:
        """Learn the rates from the latest values, gaps left out."""
        known = history.values[history.known][-_FITTED_STEPS:]
        return _states(history, _fit(known), np.zeros(1))


@dataclass(frozen=True, slots=True)
class HoltWinters:
    """Expects level and damped trend, and the season as it was last seen on top of them."""

    name: str = "holt-winters"

    def can_fit(self, history: History) -> bool:
        """Tell whether there are two whole seasons: one to begin with and one to learn from."""
        return history.size >= max(_LEAST_SEASONS * history.season, _LEAST_STEPS)

    def fit(self, history: History) -> States:
        """Learn the season from the older half of the history, the rates from its end."""
        season = _profile(history)
        return _states(history, _fit(*_seasonal_end(history, season)), season)


def _states(history: History, rates: Rates, season: Floats) -> States:
    """Run the recursion from the first value, less the season at it."""
    level = _first(history.values - np.resize(season, history.size))
    return run(history.values, rates, level=level, season=season)


def run(values: Floats, rates: Rates, *, level: float, season: Floats) -> States:
    """Run the recursion over the history; `season` begins at its first step."""
    period, trend = season.size, 0.0
    seasons, levels, trends = season.tolist(), [], []
    for step, value in enumerate(values.tolist()):
        usual = seasons[step]
        if value == value:  # noqa: PLR0124 - not a gap
            slope, before = rates.damping * trend, level
            level = before + slope + rates.level * (value - usual - before - slope)
            trend = slope + rates.trend * (level - before - slope)
            usual += rates.season * (value - before - slope - usual)
        levels.append(level)
        trends.append(trend)
        seasons.append(usual)
    return States(np.array(levels), np.array(trends), np.array(seasons), period, rates)


def _fit(values: Floats, season: Floats | None = None) -> Rates:
    """Return the rates that would have erred least; the season begins at the first value."""
    scale = float(np.abs(values).max())
    if values.size < _LEAST_STEPS or np.ptp(values) <= _STILL * scale:
        return Rates()
    # Imported here: it takes a second, and only this function needs it.
    from statsmodels.tsa.holtwinters import ExponentialSmoothing  # noqa: PLC0415

    beginning = _beginning(values / scale, None if season is None else season / scale)
    model = ExponentialSmoothing(values / scale, trend="add", damped_trend=True, **beginning)
    fitted = quietly(lambda: model.fit(use_brute=season is None), "smoothing")
    return _rates(fitted.params)


def _beginning(values: Floats, season: Floats | None) -> dict[str, Any]:
    if season is None:
        return {"initialization_method": "heuristic"}
    return {
        "seasonal": "add",
        "seasonal_periods": season.size,
        "initialization_method": "known",
        "initial_level": float(values[0] - season[0]),
        "initial_trend": 0.0,
        "initial_seasonal": season,
    }


def _rates(params: dict[str, Any]) -> Rates:
    """Return the rates of statsmodels' names; what was not fitted stays as it is by default."""
    usual = Rates()

    def share(name: str, otherwise: float) -> float:
        value = float(params[name])
        return float(np.clip(value, 0.0, 1.0)) if np.isfinite(value) else otherwise

    return Rates(
        level=share("smoothing_level", usual.level),
        trend=share("smoothing_trend", usual.trend),
        season=share("smoothing_seasonal", usual.season),
        damping=min(share("damping_trend", usual.damping), _SLOWEST_DAMPING),
    )


def _profile(history: History) -> Floats:
    """Return the season in the older half of the history, beginning at its first step.

    The newer half is left out: so many values would know the days they are judged on by heart.
    """
    seasons = max(1, history.size // history.season // 2)
    days = history.values[: seasons * history.season].reshape(seasons, history.season)
    known = np.isfinite(days)
    reach = min(history.steps(_PROFILE_MINUTES), history.season // 4)
    total = _around(np.where(known, days, 0.0).sum(axis=0), reach)
    count = _around(known.sum(axis=0).astype(np.float64), reach)
    if not count.any():
        return np.zeros(history.season)
    mean = total.sum() / count.sum()
    return np.where(count > 0, total / np.maximum(count, 1.0) - mean, 0.0)


def _around(values: Floats, reach: int) -> Floats:
    """Return the sum within `reach` steps of each step of a season, which is a circle."""
    width = 2 * reach + 1
    wrapped = np.concatenate(
        [[0.0], np.cumsum(np.resize(np.roll(values, reach), values.size + width))]
    )
    return np.asarray(wrapped[width : width + values.size] - wrapped[: values.size])


def _seasonal_end(history: History, season: Floats) -> tuple[Floats, Floats]:
    """Return the latest values, gaps filled for fitting alone, and the season from their start."""
    begin = max(0, history.size - _FITTED_SEASONS * history.season)
    values = history.values[begin:]
    season = np.roll(season, -begin)
    usual = np.resize(season, values.size)
    known = np.flatnonzero(np.isfinite(values))
    if not known.size:
        return np.zeros(1), season
    above = np.interp(np.arange(values.size), known, (values - usual)[known])
    return usual + above, season


def _first(values: Floats) -> float:
    """Return the first value known."""
    return float(values[np.argmax(np.isfinite(values))])
