"""A trial: one way of forecasting, held against what came at past origins of the same demand."""

from dataclasses import dataclass, field

import numpy as np

from forecaster.cli.asked import Asked
from forecaster.cli.progress import OnProgress
from forecaster.demand.demand import Demand, DemandError
from forecaster.history import Floats, Indices
from forecaster.moments import spoken
from forecaster.pipeline import ForecastSettings, Outcome
from forecaster.scoring.backtest import Backtest, Make, backtest, came
from forecaster.scoring.origins import stratified_origins
from forecaster.scoring.outlook import Outlook
from forecaster.scoring.warm_pool import Pool, Replay

COMBINATION = "combination"

_WARM_UP_SEASONS = 7  # that come before the first origin, where there are so many
_LEAD = 300.0
_WINDOW = 300.0


@dataclass(frozen=True, slots=True)
class Course:
    """What every trial of one demand is held against: the same origins, the same pool."""

    demand: Demand
    settings: ForecastSettings
    origins: Indices
    played: Replay


@dataclass(frozen=True, slots=True)
class Trial:
    """How one way of forecasting did."""

    name: str
    backtest: Backtest
    outlook: Outlook  # the highest of each window of the pool, for each origin of the course


def course_of(asked: Asked, demand: Demand, settings: ForecastSettings) -> Course:
    """Choose the origins, in the latter part of the demand, and lay out what the pool decides."""
    first = min(demand.size // 2, _WARM_UP_SEASONS * settings.season_steps)
    origins = stratified_origins(
        demand,
        count=asked.origins,
        horizon=settings.horizon_steps,
        first=first,
        seed=asked.seed,
    )
    if not origins.size:
        known = int(np.isfinite(demand.rate.values).sum())
        raise DemandError(
            f"{demand.name}: expected demand to forecast again that is longer than twice the "
            f"horizon of {spoken(settings.horizon_steps * demand.step)}, and half known, got "
            f"{demand.size} steps of {spoken(demand.step)}, {known} of them known: choose a "
            "shorter --horizon"
        )
    return Course(demand, settings, origins, _played(asked, demand, origins))


def run_trial(name: str, make: Make, course: Course, on_progress: OnProgress) -> Trial:
    """Forecast at every origin of the course."""
    watched = _Watched(make, course.played.pool)
    tested = backtest(
        course.demand, course.settings, course.origins, make=watched, on_progress=on_progress
    )
    unknown = np.full(len(course.settings.quantiles), np.nan)
    rows = [watched.highest.get(origin, unknown) for origin in course.origins.tolist()]
    return Trial(name, tested, Outlook(course.settings.quantiles, np.array(rows)))


@dataclass(slots=True)
class _Watched:
    """Forecasts as `make` does, and remembers what was said of each window of the pool."""

    make: Make
    pool: Pool
    highest: dict[int, Floats] = field(default_factory=dict)  # by origin

    def __call__(self, demand: Demand, settings: ForecastSettings, /) -> Outcome | None:
        outcome = self.make(demand, settings)
        if outcome is not None:
            told = outcome.forecast.highest(lead=self.pool.lead, window=self.pool.every)
            self.highest[demand.size - 1] = told.values
        return outcome


def _played(asked: Asked, demand: Demand, origins: Indices) -> Replay:
    training = demand.rate.values[: int(origins[0]) + 1]
    if not np.nan_to_num(training).any():
        training = demand.rate.values
    if not np.nanmax(training) > 0:
        raise DemandError(f"{demand.name}: expected demand above 0 somewhere, got none")
    lead = _LEAD if asked.lead is None else asked.lead
    pool = Pool(_capacity(training), lead, asked.window or _WINDOW)
    ahead = int(lead / demand.step + 1e-9)
    steps = max(1, round(pool.every / demand.step))
    return Replay(demand, pool, origins, came(demand, origins, ahead + steps)[:, ahead:])


def _capacity(training: Floats) -> float:
    """Return what one replica serves, such that a full pool serves the p99 of the training."""
    sized = Pool.sized(training) if np.nanquantile(training, 0.99) > 0 else None
    return float(np.nanmax(training)) if sized is None else sized.capacity
