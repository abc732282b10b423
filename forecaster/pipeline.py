"""The forecaster's story in one place: demand → history → members → quantiles → scenarios."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecaster import roster
from forecaster.combination.asking import Past
from forecaster.combination.combine import Combination, combine
from forecaster.combination.conformal import Prior
from forecaster.combination.quantiles import pinball
from forecaster.combination.weights import BUCKETS_MINUTES, buckets
from forecaster.demand.demand import REQUESTS, Demand
from forecaster.doubts import doubts_about
from forecaster.drawing import Lengths, draw, step_errors
from forecaster.forecast import Calibration, Forecast
from forecaster.history import Floats, History
from forecaster.models.model import Model
from forecaster.scenarios import Scenarios
from forecaster.settings import ForecastSettings
from forecaster.siblings import sibling_errors

__all__ = ["LEAST_POINTS", "ForecastSettings", "Member", "Outcome", "make_forecast"]

LEAST_POINTS = 3
NAME = "combination"


@dataclass(frozen=True, slots=True)
class Member:
    """How one model did at the recent origins."""

    name: str
    weight: float  # mean share over the horizon
    weights: tuple[float, ...]  # by horizon bucket, as far as the horizon reaches
    loss: float  # mean pinball loss of its own quantiles, on the root scale; NaN if unknown


@dataclass(frozen=True, slots=True)
class Outcome:
    """A forecast, and how its members did, the weightiest first."""

    forecast: Forecast
    members: tuple[Member, ...]


def make_forecast(
    demand: Demand,
    settings: ForecastSettings,
    *,
    models: Sequence[Model] | None = None,
    siblings: Sequence[Demand] = (),
    seed: int = 0,
) -> Outcome | None:
    """Forecast the steps after the last one of `demand`.

    `models` are the members, the cheap ones of the roster unless others are given; `siblings`
    are like demands whose errors stand in while there are few. None where too few points are
    known, none within the last season, or too few for any of the members.
    """
    known = _known(demand, settings)
    if known is None:
        return None
    past = Past.of(known.history, first=known.late + 1, last=known.late + settings.horizon_steps)
    prior = Prior(sibling_errors(siblings, settings, past.horizons), _least_deviation(demand))
    asked = roster.cheap() if models is None else models
    members = [model for model in asked if model.can_fit(known.history)]
    if not members:
        return None
    levels = np.asarray(settings.quantiles)
    combination = combine(members, known.history, past, levels, prior)
    forecast = _forecast(known, combination, settings)
    if settings.paths:
        generator = np.random.default_rng(seed)
        scenarios = _scenarios(known, combination, forecast, settings.paths, generator)
        forecast = replace(forecast, scenarios=scenarios)
    return Outcome(forecast, _members(combination, known.history))


@dataclass(frozen=True, slots=True)
class _Known:
    """A demand, its history up to the last step known, and how many steps before the end it is."""

    demand: Demand
    history: History
    late: int


def _known(demand: Demand, settings: ForecastSettings) -> _Known | None:
    rates = demand.telling[-settings.history_steps :]
    known = np.flatnonzero(np.isfinite(rates))
    if known.size < LEAST_POINTS:
        return None
    late = rates.size - 1 - int(known[-1])
    if late > settings.season_steps:
        return None
    history = History.of_rates(
        rates[known[0] : known[-1] + 1],
        step=settings.step_seconds,
        season=settings.season_steps,
        end=demand.origin - late * settings.step_seconds,
    )
    return _Known(demand, history, late)


def _least_deviation(demand: Demand) -> float:
    """Return the deviation of the root of a Poisson count's rate, whatever the rate."""
    return 0.5 / float(np.sqrt(demand.step)) if demand.unit == REQUESTS else 0.0


def _forecast(known: _Known, combination: Combination, settings: ForecastSettings) -> Forecast:
    weights = combination.weights.mean(axis=1).tolist()
    matured = int(combination.past.matured.min())
    return Forecast(
        origin=known.demand.origin,
        step=settings.step_seconds,
        quantiles=settings.quantiles,
        values=_values(combination, known.late, settings.horizon_steps),
        model=NAME,
        residuals=matured,
        unit=known.demand.unit,
        weights=dict(zip(combination.names, weights, strict=True)),
        calibration=_calibration(combination, settings),
        doubts=doubts_about(
            known.demand.rate.values[-settings.history_steps :],
            season=settings.season_steps,
            late=known.late,
            errors=matured,
        ),
    )


def _values(combination: Combination, late: int, ahead: int) -> Floats:
    """Return the rates at every step ahead of the origin: steps x quantiles."""
    steps = np.arange(late + 1, late + ahead + 1)
    horizons, roots = combination.past.horizons, combination.now
    return np.stack([np.interp(steps, horizons, root) for root in roots.T], axis=-1) ** 2


def _scenarios(
    known: _Known,
    combination: Combination,
    forecast: Forecast,
    count: int,
    generator: np.random.Generator,
) -> Scenarios:
    past = combination.past
    middle = combination.quantiles[
        ..., int(np.argmin(np.abs(np.subtract(forecast.quantiles, 0.5))))
    ]
    errors = step_errors(known.history, past, middle, combination.local, first=known.late + 1)
    return draw(
        forecast.values,
        forecast.quantiles,
        errors,
        count=count,
        generator=generator,
        lengths=_lengths(known, past),
    )


def _lengths(known: _Known, past: Past) -> Lengths | None:
    """Return the lengths of past requests on the steps of the history, where they are known."""
    stop = known.demand.size - known.late
    start = stop - known.history.size
    lengths = [known.demand.input_lengths, known.demand.output_lengths]
    if all(one is None for one in lengths):
        return None
    inputs, outputs = (None if one is None else one[start:stop] for one in lengths)
    return Lengths(past.origins, inputs, outputs, first=known.late + 1)


def _calibration(combination: Combination, settings: ForecastSettings) -> Calibration | None:
    """Return how demand fell among the quantiles at the past origins that they were read from."""
    actual = combination.past.actual[..., None]
    known = np.isfinite(actual)
    if not known.any():
        return None
    below = ((actual <= combination.quantiles) & known).sum(axis=(0, 1)) / known.sum()
    coverage = dict(zip(settings.quantiles, below.tolist(), strict=True))
    errors = (actual**2 - np.maximum(combination.quantiles, 0.0) ** 2)[known[..., 0]]
    loss = float(pinball(errors, np.asarray(settings.quantiles)).mean())
    return Calibration(coverage, int(known.any(axis=1).sum()), loss)


def _members(combination: Combination, history: History) -> tuple[Member, ...]:
    bucket = np.asarray(buckets(history.minutes(combination.past.horizons)))
    reached = [index for index in range(len(BUCKETS_MINUTES)) if (bucket == index).any()]
    members = []
    rows = zip(combination.names, combination.weights, combination.losses, strict=True)
    for name, weight, lost in rows:
        by_bucket = tuple(float(weight[bucket == index].mean()) for index in reached)
        known = lost[np.isfinite(lost)]
        loss = float(known.mean()) if known.size else float("nan")
        members.append(Member(name, float(weight.mean()), by_bucket, loss))
    return tuple(sorted(members, key=lambda member: -member.weight))
