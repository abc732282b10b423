"""The model every other has to beat: what was seen one season ago."""

from dataclasses import dataclass

import numpy as np

from forecaster.models.model import Floats, Indices, carried_forward


@dataclass(frozen=True, slots=True)
class SeasonalNaive:
    """Expects the value of one season ago, or of the latest earlier season that has it.

    Where no earlier season has it, the latest value is expected to stay.
    """

    season: int
    name: str = "seasonal naive"

    def __post_init__(self) -> None:
        if self.season < 1:
            raise ValueError(f"expected a season of at least one step, got {self.season}")

    def fit_predict(self, history: Floats, horizon: int) -> Floats:
        """Return the demand expected in each of the next `horizon` steps."""
        path: Floats = self.backtest(history, horizon, np.array([history.size - 1]))[0]
        return path

    def backtest(self, history: Floats, horizon: int, origins: Indices) -> Floats:
        """Return the paths expected at each origin from the steps up to it."""
        ahead = np.arange(1, horizon + 1)
        seasons_back = -(-ahead // self.season)  # a season ago may itself still be ahead
        index = origins[:, None] + ahead - seasons_back * self.season
        filled = self._filled_by_season(history)
        seasonal = np.where(index >= 0, filled[np.maximum(index, 0)], np.nan)
        latest = carried_forward(history)[origins]
        return np.where(np.isfinite(seasonal), seasonal, latest[:, None])

    def _filled_by_season(self, history: Floats) -> Floats:
        """Fill each gap with the value of the latest earlier season that has it."""
        padding = -history.size % self.season
        padded = np.concatenate([history, np.full(padding, np.nan)])
        by_season = padded.reshape(-1, self.season)
        filled = np.stack([carried_forward(slot) for slot in by_season.T], axis=1)
        flat: Floats = filled.reshape(-1)[: history.size]
        return flat
