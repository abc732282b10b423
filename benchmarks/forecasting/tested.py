"""What is forecast: a series of a folder, the moments to forecast it at, and what came then."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecaster.demand.demand import Demand
from forecaster.scoring.origins import stratified_origins

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Tested:
    """A series, and the first of its steps that may be forecast."""

    name: str
    demand: Demand
    first: int

    @property
    def season(self) -> int:
        """Steps in a day."""
        return round(DAY_SECONDS / self.demand.step)

    @property
    def counts(self) -> Floats:
        """Requests or tokens in each step; NaN for a gap."""
        return np.round(self.demand.rate.values * self.demand.step, 3)

    @property
    def filled(self) -> Floats:
        """Counts with each gap as a day before, else as just before: what peers are given."""
        values = self.counts.copy()
        for index in np.flatnonzero(np.isnan(values)):
            day_before = values[index - self.season] if index >= self.season else np.nan
            just_before = values[index - 1] if index else 0.0
            values[index] = just_before if np.isnan(day_before) else day_before
        return values

    def origins(self, count: int, *, horizon: int, seed: int) -> Indices:
        """Return a random origin in each of `count` equal parts of what is tested."""
        return stratified_origins(
            self.demand, count=count, horizon=horizon, first=self.first - 1, seed=seed
        )

    def after(self, origins: Indices, *, horizon: int) -> Floats:
        """Return the counts that came: origins x steps; NaN beyond the end."""
        counts = np.concatenate([self.counts, np.full(horizon, np.nan)])
        return counts[origins[:, None] + np.arange(1, horizon + 1)]
