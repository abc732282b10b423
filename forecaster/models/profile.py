"""Profiles: what came at this time on earlier days, or on the same day of earlier weeks."""

from dataclasses import dataclass

import numpy as np

from forecaster.history import History
from forecaster.models.model import PATH, Floats, Indices

_DAYS = 7  # older days tell of another time
_FADING = 0.85  # weight of a day against the day after it
_SMOOTHING_MINUTES = 7.0  # to each side
_WEEK = 7


@dataclass(frozen=True, slots=True)
class Profile:
    """The mean of earlier seasons at each step, up to a season past the end of the history.

    `values[i]` looks at nothing later than `i - ahead`, so it may be used at any origin of which
    `i` is `ahead` steps or less.
    """

    values: Floats  # NaN where no earlier season knows the step

    def at(self, origins: Indices, horizons: Indices) -> Floats:
        """Return the profile so many steps after each origin: origins x horizons."""
        index = origins[:, None] + horizons
        return np.asarray(self.values[np.minimum(index, self.values.size - 1)])


def profile_of(history: History, *, lag: int, count: int, ahead: int) -> Profile:
    """Return the profile over up to `count` lags back, newest first, fading."""
    reach = history.steps(_SMOOTHING_MINUTES) if history.season >= _LEAST_TO_SMOOTH else 0
    around = _around(history, reach)
    size = history.size + ahead
    total, weight = np.zeros(size), np.zeros(size)
    for back in range(1, count + 1):
        shift, fading = back * lag, _FADING ** (back - 1)
        if shift - reach < ahead or shift >= size:
            continue
        part = around[: size - shift]
        seen = np.isfinite(part)
        total[shift : shift + part.size] += np.where(seen, fading * part, 0.0)
        weight[shift : shift + part.size] += fading * seen
    with np.errstate(invalid="ignore"):
        return Profile(total / np.where(weight > 0, weight, np.nan))


_LEAST_TO_SMOOTH = 48  # steps of a season: fewer are long enough to need no smoothing


def _around(history: History, reach: int) -> Floats:
    """Return the mean of what is known within `reach` steps of each step; NaN where nothing is."""
    if reach == 0:
        return history.values
    sums, counts = history.sums
    index = np.arange(history.size)
    begins, ends = np.maximum(index - reach, 0), np.minimum(index + reach + 1, history.size)
    known = counts[ends] - counts[begins]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known > 0, (sums[ends] - sums[begins]) / known, np.nan)


@dataclass(frozen=True, slots=True)
class _FittedProfile:
    history: History
    lag: int
    count: int
    levels: tuple[float, ...] = PATH

    def paths(self, origins: Indices, horizons: Indices) -> Floats:
        ahead = int(horizons.max())
        profile = profile_of(self.history, lag=self.lag, count=self.count, ahead=ahead)
        known = profile.at(origins, horizons)
        level = self.history.filled[origins][:, None]
        return np.where(np.isfinite(known), known, level)[..., None]


@dataclass(frozen=True, slots=True)
class DailyProfile:
    """Expects the smoothed mean of the last days at the same time."""

    name: str = "daily profile"

    def can_fit(self, history: History) -> bool:
        """Tell whether there is more than a day."""
        return history.size > history.season

    def fit(self, history: History) -> _FittedProfile:
        """Learn the profile."""
        return _FittedProfile(history, history.season, _DAYS)


@dataclass(frozen=True, slots=True)
class WeeklyProfile:
    """Expects the smoothed mean of the same time on the same day of earlier weeks."""

    name: str = "weekly profile"

    def can_fit(self, history: History) -> bool:
        """Tell whether there is more than a week and a day."""
        return history.size > (_WEEK + 1) * history.season

    def fit(self, history: History) -> _FittedProfile:
        """Learn the profile."""
        return _FittedProfile(history, _WEEK * history.season, 2)


@dataclass(frozen=True, slots=True)
class SeasonalNaive:
    """Expects what came one day ago, or on the latest earlier day that knows the step."""

    name: str = "seasonal naive"

    def can_fit(self, history: History) -> bool:
        """Tell whether there is more than a day."""
        return history.size > history.season

    def fit(self, history: History) -> "_FittedNaive":
        """Learn nothing: yesterday is the forecast."""
        return _FittedNaive(history)


@dataclass(frozen=True, slots=True)
class _FittedNaive:
    history: History
    levels: tuple[float, ...] = PATH

    def paths(self, origins: Indices, horizons: Indices) -> Floats:
        season, values = self.history.season, self.history.values
        index = origins[:, None] + horizons
        index = index - season * (-(-horizons // season))  # a season ago may still be ahead
        path = np.full(index.shape, np.nan)
        for back in range(_DAYS):
            earlier = index - back * season
            missing = np.isnan(path) & (earlier >= 0)
            if not missing.any():
                break
            path[missing] = values[earlier[missing]]
        level = self.history.filled[origins][:, None]
        return np.where(np.isfinite(path), path, level)[..., None]
