"""A backtest: forecasts made again at past origins, beside what then came and simple forecasts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from forecaster.demand.demand import Demand
from forecaster.history import Floats, History, Indices
from forecaster.pipeline import ForecastSettings, Member, Outcome, make_forecast
from forecaster.scoring import scores
from forecaster.scoring.naive import last_value, yesterday

OnProgress = Callable[[int, int], None]  # origins done, origins asked for


class Make(Protocol):
    """Whatever forecasts from demand alone, as `make_forecast` does."""

    def __call__(self, demand: Demand, settings: ForecastSettings, /) -> Outcome | None:
        """Return the forecast of the steps after the last one of `demand`, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Backtest:
    """Forecasts of one demand at the origins where there was one, and what then came.

    Rates in the demand's unit: `actual` is origins x horizon, the others have the levels besides.
    What was asked counts even where a forecaster was told to ignore it; a gap never does.
    """

    origins: Indices  # of the last steps looked at
    step: float
    levels: tuple[float, ...]
    actual: Floats
    forecast: Floats
    yesterday: (
        Floats  # the daily seasonal naive with quantiles of its past errors; NaN without one
    )
    last: Floats  # the last value, likewise
    scales: Floats  # of MASE, one for each origin; NaN without a day of history
    members: tuple[Member, ...] = ()  # as means over the origins, the weightiest first
    declined: int = 0  # origins without a forecast

    @property
    def median(self) -> Floats:
        """The forecast at the level nearest to a half: origins x horizon."""
        return self.forecast[..., int(np.abs(np.array(self.levels) - 0.5).argmin())]

    def losses(self, forecast: Floats | None = None) -> Floats:
        """Return the mean pinball loss of each origin, of this forecast or another beside it."""
        told = self.forecast if forecast is None else forecast
        lost = scores.pinball_losses(self.actual, told, self.levels).mean(axis=-1)
        known = np.isfinite(lost)
        total = np.where(known, lost, 0.0).sum(axis=1)
        return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)

    def between(self, begins: float, ends: float) -> "Backtest":
        """Return the part of the horizon from `begins` minutes, not included, up to `ends`."""
        minutes = self.step * np.arange(1, self.actual.shape[1] + 1) / 60.0
        inside = (minutes > begins + 1e-9) & (minutes <= ends + 1e-9)
        return replace(
            self,
            actual=self.actual[:, inside],
            forecast=self.forecast[:, inside],
            yesterday=self.yesterday[:, inside],
            last=self.last[:, inside],
        )


def backtest(
    demand: Demand,
    settings: ForecastSettings,
    origins: Indices,
    *,
    make: Make = make_forecast,
    on_progress: OnProgress | None = None,
) -> Backtest:
    """Forecast at each origin from what was known by then, fitting anew, and gather what came."""
    kept: list[int] = []
    outcomes: list[Outcome] = []
    naives: list[tuple[Floats, Floats, float]] = []
    for done, origin in enumerate(origins.tolist(), start=1):
        outcome = make(demand.part(0, origin + 1), settings)
        if outcome is not None:
            kept.append(origin)
            outcomes.append(outcome)
            naives.append(_naives(demand, settings, origin))
        if on_progress is not None:
            on_progress(done, origins.size)
    index = np.array(kept, np.int64)
    shape = (index.size, settings.horizon_steps, len(settings.quantiles))
    return Backtest(
        index,
        settings.step_seconds,
        settings.quantiles,
        came(demand, index, settings.horizon_steps),
        _stacked([outcome.forecast.values for outcome in outcomes], shape),
        _stacked([naive[0] for naive in naives], shape),
        _stacked([naive[1] for naive in naives], shape),
        np.array([naive[2] for naive in naives]),
        mean_members([outcome.members for outcome in outcomes]),
        int(origins.size - index.size),
    )


def came(demand: Demand, origins: Indices, horizon: int) -> Floats:
    """Return the rate in each step after each origin, NaN where it is not known."""
    padded = np.concatenate([demand.rate.values, np.full(horizon, np.nan)])
    return np.asarray(padded[origins[:, None] + np.arange(1, horizon + 1)])


def mean_members(outcomes: Sequence[Sequence[Member]]) -> tuple[Member, ...]:
    """Return each member as a mean over outcomes: a weight counts as 0 where it had no part."""
    seen: dict[str, list[Member]] = {}
    for members in outcomes:
        for member in members:
            seen.setdefault(member.name, []).append(member)
    means = [_mean_member(name, members, len(outcomes)) for name, members in seen.items()]
    return tuple(sorted(means, key=lambda member: -member.weight))


def _mean_member(name: str, members: list[Member], of: int) -> Member:
    lost = np.array([member.loss for member in members])
    known = lost[np.isfinite(lost)]
    reach = max(len(member.weights) for member in members)
    # A forecast that was late reached farther; where another did not, its last bucket stands in.
    full = [(*member.weights, *member.weights[-1:] * reach)[:reach] for member in members]
    return Member(
        name,
        sum(member.weight for member in members) / of,
        tuple((np.array(full).sum(axis=0) / of).tolist()),
        float(known.mean()) if known.size else float("nan"),
    )


def _naives(
    demand: Demand, settings: ForecastSettings, origin: int
) -> tuple[Floats, Floats, float]:
    """Return the simple forecasts at one origin and the scale of MASE, from what was known."""
    start = max(0, origin + 1 - settings.history_steps)
    rates = demand.rate.values[start : origin + 1]
    season, horizon, levels = settings.season_steps, settings.horizon_steps, settings.quantiles
    history = History.of_rates(rates, step=settings.step_seconds, season=season)
    return (
        yesterday(history, horizon, levels),
        last_value(history, horizon, levels),
        scores.naive_scale(rates, season),
    )


def _stacked(values: Sequence[Floats], shape: tuple[int, ...]) -> Floats:
    return np.stack(values) if values else np.empty(shape)
