"""What boosted trees look at: levels, lags, profiles and the calendar, a row for each question."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forecaster.history import History
from forecaster.models.model import Floats, Indices
from forecaster.models.profile import profile_of

_BASE_MINUTES = 15.0
_LEVELS_MINUTES = (1.0, 5.0, 60.0, 180.0)
_SPREAD_MINUTES = 60.0
_DAYS, _WEEK = 7, 7


@dataclass(frozen=True)
class Features:
    """Rows of features of a history: an origin, and how far ahead of it is asked, make a row.

    All values are differences from the level at the origin, so that trees, which know no line,
    can follow demand to where it has never been.
    """

    history: History
    ahead: int  # steps that are asked for at most

    def base(self, origins: Indices) -> Floats:
        """Return the level that rows, and what is learnt from them, are measured from."""
        return self._level[origins]

    def day(self, steps: Indices) -> Indices:
        """Return the number of the day that steps are in, the same for any part of a history."""
        return (steps + self._first) // self.history.season

    def rows(self, origins: Indices, horizons: Indices) -> Floats:
        """Return a row of features for each origin and the horizon beside it."""
        base, season = self.base(origins), self.history.season
        target = origins + horizons
        back = -(-horizons // season) * season  # a day ago may itself still be ahead
        today = self._profiles[0][origins]
        columns = [
            horizons.astype(np.float64),
            base,
            ((target + self._first) % season) / season,
            (self.day(target) % _WEEK).astype(np.float64),
            self._spread[origins],
            *(level[origins] - base for level in self._levels),
            self._before(target - back) - base,
            self._before(target - back) - self._before(origins - season),
            today - base,
            *(profile[target] - base for profile in self._profiles),
            self._profiles[0][target] - today,
        ]
        return np.stack(columns, axis=1)

    @property
    def _first(self) -> int:
        return round(self.history.end / self.history.step) - self.history.size + 1

    @cached_property
    def _level(self) -> Floats:
        return self.history.mean(self.history.steps(_BASE_MINUTES))

    @cached_property
    def _levels(self) -> list[Floats]:
        return [self.history.mean(self.history.steps(minutes)) for minutes in _LEVELS_MINUTES]

    @cached_property
    def _spread(self) -> Floats:
        """How far the values of the last hour were from their level."""
        window = self.history.steps(_SPREAD_MINUTES)
        sums = np.concatenate([[0.0], np.cumsum(np.abs(self.history.filled - self._level))])
        ends = np.arange(1, self.history.size + 1)
        begins = np.maximum(ends - window, 0)
        return np.asarray((sums[ends] - sums[begins]) / (ends - begins))

    @cached_property
    def _profiles(self) -> list[Floats]:
        lags = ((self.history.season, _DAYS), (_WEEK * self.history.season, 2))
        return [
            profile_of(self.history, lag=lag, count=count, ahead=self.ahead).values
            for lag, count in lags
        ]

    def _before(self, steps: Indices) -> Floats:
        """Return the level at steps, NaN before the first."""
        return np.where(steps >= 0, self._level[np.maximum(steps, 0)], np.nan)
