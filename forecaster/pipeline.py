"""The forecaster's story in one place: demand → models scored → path → quantiles."""

from dataclasses import dataclass

import numpy as np

from forecaster.conformal import add_offsets, offsets
from forecaster.forecast import Forecast
from forecaster.models.model import Floats
from forecaster.selection import Scorecard, score_models
from telemetry.series import Series

LEAST_POINTS = 3


@dataclass(frozen=True, slots=True)
class ForecastSettings:
    """What is forecast: how far, in which steps, and from how much history."""

    model: str
    step_seconds: float
    season_steps: int
    horizon_steps: int
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9, 0.95, 0.99)
    history_seasons: int = 4

    def __post_init__(self) -> None:
        if self.step_seconds <= 0 or min(self.season_steps, self.horizon_steps) < 1:
            raise ValueError(
                f"expected a step above 0 s, and a season and a horizon of at least one step, "
                f"got {self.step_seconds} s, {self.season_steps} and {self.horizon_steps}"
            )
        if self.history_seasons < 1:
            raise ValueError(f"expected at least one season, got {self.history_seasons}")
        if list(self.quantiles) != sorted(set(self.quantiles)) or not all(
            0 < quantile < 1 for quantile in self.quantiles
        ):
            raise ValueError(
                f"expected rising quantiles between 0 and 1, got {list(self.quantiles)}"
            )

    @property
    def history_steps(self) -> int:
        """Steps of history that a forecast looks at."""
        return self.season_steps * self.history_seasons


@dataclass(frozen=True, slots=True)
class Outcome:
    """A forecast, and how the models did that were asked, the believed one first."""

    forecast: Forecast
    scorecards: tuple[Scorecard, ...]


def make_forecast(demand: Series, settings: ForecastSettings) -> Outcome | None:
    """Forecast the steps after the last point of `demand`.

    None where too few points are known, or none within the last season.
    """
    known = np.flatnonzero(np.isfinite(demand.values))
    if known.size < LEAST_POINTS:
        return None
    late = demand.values.size - 1 - int(known[-1])
    if late > settings.season_steps:
        return None
    history = demand.values[known[0] : known[-1] + 1]
    return _forecast(history, settings, origin=demand.window.end, late=late)


def _forecast(history: Floats, settings: ForecastSettings, *, origin: float, late: int) -> Outcome:
    """Forecast from the last known step; the `late` steps up to the origin are ahead of it too."""
    horizon = late + settings.horizon_steps
    cards = score_models(
        history,
        season=settings.season_steps,
        horizon=horizon,
        quantiles=settings.quantiles,
        step=settings.step_seconds,
    )
    best = cards[0]
    path = best.model.fit_predict(history, horizon)
    added = offsets(best.backtest, settings.quantiles, step=settings.step_seconds)
    forecast = Forecast(
        origin,
        settings.step_seconds,
        settings.quantiles,
        add_offsets(path, added)[late:],
        best.model.name,
        best.residuals,
    )
    return Outcome(forecast, tuple(cards))
