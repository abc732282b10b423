"""Describing a demand: examined, measured, forecast at past origins, and said in sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from forecaster.condition.condition import Condition, Kind, examine, mended
from forecaster.demand.demand import Demand
from forecaster.describing.plain import plain
from forecaster.describing.predictability import Predictability, predictability
from forecaster.describing.traits import Traits, measure
from forecaster.describing.wording import sentences
from forecaster.history import Floats, Indices
from forecaster.pipeline import ForecastSettings, Outcome, make_forecast
from forecaster.scoring.backtest import Backtest, Make, OnProgress, backtest, came
from forecaster.scoring.origins import stratified_origins
from telemetry.series import Series

ORIGINS = 24


@dataclass(frozen=True, slots=True)
class Description:
    """What a demand is like."""

    traits: Traits
    sentences: tuple[str, ...]
    tested: Backtest | None  # the past forecasts that its predictability rests on

    def as_json(self) -> dict[str, object]:
        """Return the traits and the sentences as JSON holds them."""
        return {"traits": plain(self.traits), "sentences": list(self.sentences)}


def describe(
    demand: Demand,
    settings: ForecastSettings,
    *,
    tenants: Mapping[str, Floats] | None = None,
    make: Make = make_forecast,
    origins: int = ORIGINS,
    seed: int = 0,
    mend: bool = True,
    on_progress: OnProgress | None = None,
) -> Description:
    """Measure the traits of a demand; 0 origins leave open how predictable it is.

    The rates of `tenants` are on the demand's grid, in its unit. Unless it is to `mend`, what was
    found is told, and nothing of it is ignored.
    """
    condition = examine(demand, season=settings.season_steps)
    seen = demand
    if mend:
        seen = _without_false_zeros(replace(demand, ignored=condition.ignored), condition)
        make = _mending(make)
    drawn = _origins(seen, settings, origins, seed)
    tested = None
    if drawn.size:
        quick = replace(settings, paths=0)
        told = backtest(demand, quick, drawn, make=make, on_progress=on_progress)
        tested = replace(told, actual=came(seen, told.origins, settings.horizon_steps))
    traits = measure(
        seen,
        tenants=tenants,
        findings=condition.findings,
        predictability=_predictability(tested, seed),
    )
    return Description(traits, sentences(traits), tested)


def _mending(make: Make) -> Make:
    """Return what forecasts from demand mended by what it shows up to the origin, no more."""

    def made(demand: Demand, settings: ForecastSettings, /) -> Outcome | None:
        return make(mended(demand, season=settings.season_steps), settings)

    return made


def _without_false_zeros(demand: Demand, condition: Condition) -> Demand:
    """Return the demand with gaps where it read 0 because nothing was collected."""
    times = demand.window.times
    values = demand.rate.values.copy()
    for finding in condition.of(Kind.READS_ZERO):
        values[(times > finding.start + 1e-3) & (times <= finding.end + 1e-3)] = np.nan
    return replace(demand, rate=Series(demand.rate.labels, demand.window, values))


def _origins(demand: Demand, settings: ForecastSettings, count: int, seed: int) -> Indices:
    """Return origins in the latter half, with a day before them where there is one."""
    first = max(demand.size // 2, min(settings.season_steps, demand.size))
    horizon = settings.horizon_steps
    return stratified_origins(demand, count=count, horizon=horizon, first=first, seed=seed)


def _predictability(tested: Backtest | None, seed: int) -> Predictability | None:
    if tested is None:
        return None
    return predictability(tested, np.random.default_rng(seed))
