"""What a forecaster says of each decision of a warm pool: how high demand gets in its window."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forecaster.forecast import Forecast
from forecaster.history import Floats
from forecaster.pipeline import ForecastSettings, make_forecast
from forecaster.scoring.backtest import Make
from forecaster.scoring.warm_pool import Replay, decision_level, held


@dataclass(frozen=True, slots=True)
class Outlook:
    """Quantiles of the highest rate in each decision's window, decisions x levels."""

    levels: tuple[float, ...]
    values: Floats  # NaN where there was no forecast

    def replicas(self, played: Replay, beta: float) -> Floats:
        """Return the replicas for each decision at the quantile that `beta` asks for.

        Where there was no forecast, the pool stays as it is.
        """
        level = decision_level(beta)
        rates = np.array([np.interp(level, self.levels, row) for row in self.values])
        return held(played.pool.replicas(rates))


def look_ahead(
    played: Replay,
    settings: ForecastSettings,
    *,
    make: Make = make_forecast,
    on_progress: Callable[[int, int], None] | None = None,
) -> Outlook:
    """Forecast at each decision from what was known by then."""
    return look_ahead_at((played,), settings, make=make, on_progress=on_progress)[0]


def look_ahead_at(
    replays: tuple[Replay, ...],
    settings: ForecastSettings,
    *,
    make: Make = make_forecast,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Outlook, ...]:
    """Look ahead for pools that differ in their lead alone: one forecast serves them all."""
    demand = replays[0].demand
    if any(one.demand is not demand for one in replays):
        raise ValueError("expected replays of the same demand")
    origins = np.unique(np.concatenate([one.origins for one in replays]))
    told: dict[int, list[Floats]] = {}
    for done, origin in enumerate(origins.tolist(), start=1):
        outcome = make(demand.part(0, origin + 1), settings)
        if outcome is not None:
            told[origin] = [_highest(outcome.forecast, one) for one in replays]
        if on_progress is not None:
            on_progress(done, origins.size)
    unknown = np.full(len(settings.quantiles), np.nan)
    rows = [
        [told[origin][at] if origin in told else unknown for origin in one.origins.tolist()]
        for at, one in enumerate(replays)
    ]
    return tuple(Outlook(settings.quantiles, np.array(row)) for row in rows)


def _highest(forecast: Forecast, played: Replay) -> Floats:
    return forecast.highest(lead=played.pool.lead, window=played.pool.every).values
