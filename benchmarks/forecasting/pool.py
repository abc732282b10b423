"""What a warm pool pays with the forecast, day after day, against foresight and reactive rules.

Where each minute is billed by itself, the number of replicas that costs least is a quantile of
what any minute of the window asks for; where the highest minute counts all the window long, it is
one of the highest. Either is billed for what it is the answer to, and so are the tuned rules.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from report import Row

from forecaster.forecast import QUANTILES, Forecast
from forecaster.pipeline import make_forecast
from forecaster.scoring.outlook import Outlook
from forecaster.scoring.reactive import PEERS, Hindsight, static, tune
from forecaster.scoring.warm_pool import Need, Pool, Replay, cost, foresight, replay
from forecasting import folder, ours
from forecasting.tested import Floats, Indices, Tested

LEADS = (300.0, 900.0)
BETAS = (10.0, 100.0)
EVERY = 300.0
SINGLE_BAR = 0.80
EACH_BAR = 1.02
_HORIZON = 60
_CHUNK = 24  # decisions that a process takes on at once
# So wide that hindsight does not choose at its edge: a miss that costs 100 wants many spares.
_EVEN = (np.arange(1000) + 0.5) / 1000  # probabilities at which steps are added up to a window

Outlooks = Mapping[tuple[float, Need], Sequence[Outlook]]  # by lead and need, one for each series
Told = dict[tuple[float, Need], Floats]  # quantiles of one decision's window


@dataclass(frozen=True, slots=True)
class Setting:
    """What a decision is billed by."""

    lead: float
    beta: float
    need: Need

    @property
    def name(self) -> str:
        """The setting in words."""
        return f"lead {self.lead / 60:g} min, a miss costs {self.beta:g}, {self.need.value}"


@dataclass(frozen=True, slots=True)
class Paid:
    """What each way to choose replicas paid on each series, in replica-minutes."""

    ours: Floats
    foresight: Floats
    rules: Mapping[str, Floats]  # reactive ones, as they are used
    hindsight: Hindsight

    def over(self, others: Sequence[float] | Floats) -> Floats:
        """Return the cost over another's, by series."""
        return self.ours / np.maximum(others, 1.0)


def measure(options: Namespace) -> Iterator[Row]:
    """Replay every tested day, with a decision each five minutes."""
    tested = folder.by_the_minute(Path(options.folder))
    if options.quick:
        tested = [_first_day(one) for one in tested]
    replays = {lead: [_replay(one, lead) for one in tested] for lead in LEADS}
    outlooks = _look_ahead(tested, replays)
    settings = [Setting(*one) for one in product(LEADS, BETAS, Need)]
    paid = {one: _paid(replays[one.lead], outlooks[one.lead, one.need], one) for one in settings}
    for need in Need:
        billed = [one for setting, one in paid.items() if setting.need is need]
        yield from _ratios(billed, f"all leads and prices, {need.value}", with_bars=True)
    billed = [
        _paid(replays[one.lead], outlooks[one.lead, Need.HIGHEST_MINUTE], one)
        for one in settings
        if one.need is Need.EACH_MINUTE
    ]
    where = "all leads and prices, each minute, sized for the highest"
    yield from _ratios(billed, where, with_bars=False)
    for setting, one in paid.items():
        yield from _ratios([one], setting.name, with_bars=False)
    for setting, one in paid.items():
        rule, costs = one.hindsight.single.name, one.hindsight.single_costs
        yield Row(f"single tuned rule, {setting.name}", rule, float(sum(costs)), "replica-min")
    for setting, one in paid.items():
        for series, over in zip(tested, one.over(one.hindsight.single_costs), strict=True):
            yield Row(f"cost over the single tuned rule, {setting.name}", series.name, over, "x")


def _ratios(paid: Sequence[Paid], where: str, *, with_bars: bool) -> Iterator[Row]:
    """Tell how much is paid over others, as the geometric mean over series and settings."""

    def mean(ratios: Sequence[Floats]) -> float:
        return float(np.exp(np.log(np.concatenate(ratios)).mean()))

    over = {
        "the single tuned rule": [one.over(one.hindsight.single_costs) for one in paid],
        "rules tuned for each series": [one.over(one.hindsight.each_costs) for one in paid],
        **{name: [one.over(one.rules[name]) for one in paid] for name in paid[0].rules},
    }
    if all(one.foresight.all() for one in paid):  # else it pays nothing at all
        over["perfect foresight"] = [one.over(one.foresight) for one in paid]
    bars = dict(zip(over, (SINGLE_BAR, EACH_BAR), strict=False)) if with_bars else {}
    for name, ratios in over.items():
        yield Row(f"cost over {name}", where, mean(ratios), "x", bars.get(name))


def _paid(replays: Sequence[Replay], outlooks: Sequence[Outlook], setting: Setting) -> Paid:
    beta, need = setting.beta, setting.need
    both = list(zip(replays, outlooks, strict=True))
    rules = {name: rule.replicas for name, rule in PEERS.items()} | {"a full pool": static}

    def costs(replicas: Callable[[Replay], Floats]) -> Floats:
        return np.array([float(cost(replicas(one), one, beta, need)) for one in replays])

    return Paid(
        np.array([float(cost(told.replicas(one, beta), one, beta, need)) for one, told in both]),
        costs(lambda one: foresight(one, beta, need)),
        {name: costs(rule) for name, rule in rules.items()},
        tune(replays, beta, need=need),
    )


def _replay(series: Tested, lead: float) -> Replay:
    """Return the decisions on the tested days, of a pool sized by the days before."""
    training = series.demand.rate.values[: series.first]
    pool = Pool.sized(training, lead=lead, every=EVERY)
    return replay(series.demand, pool, first=series.first - 1)


def _first_day(series: Tested) -> Tested:
    stop = min(series.first + series.season, series.demand.size)
    return replace(series, demand=series.demand.part(0, stop))


def _look_ahead(tested: Sequence[Tested], replays: Mapping[float, Sequence[Replay]]) -> Outlooks:
    """Forecast at every decision, a chunk of them at a time; one forecast serves every setting."""
    origins = [_origins(number, replays) for number in range(len(tested))]
    tasks = [
        (number, origins[number][begin : begin + _CHUNK].tolist())
        for number in range(len(tested))
        for begin in range(0, origins[number].size, _CHUNK)
    ]
    told: list[dict[int, Told]] = [{} for _ in tested]
    with ours.processes(tested, _HORIZON) as pool:
        for (number, _), chunk in zip(tasks, pool.map(_chunk, tasks), strict=True):
            told[number] |= chunk
    return {
        key: [
            Outlook(
                QUANTILES, np.array([told[at][origin][key] for origin in one.origins.tolist()])
            )
            for at, one in enumerate(replays[key[0]])
        ]
        for key in product(LEADS, Need)
    }


def _origins(number: int, replays: Mapping[float, Sequence[Replay]]) -> Indices:
    return np.unique(np.concatenate([replays[lead][number].origins for lead in LEADS]))


def _chunk(task: tuple[int, list[int]]) -> dict[int, Told]:
    """Return, for each origin, the quantiles of each window by its lead and what it needs."""
    number, origins = task
    return {origin: _told(ours.known(number), origin) for origin in origins}


def _told(series: Tested, origin: int) -> Told:
    outcome = make_forecast(ours.seen(series, origin), ours.settings_of(series, _HORIZON))
    if outcome is None:
        return {key: np.full(len(QUANTILES), np.nan) for key in product(LEADS, Need)}
    forecast = outcome.forecast
    told = {}
    for lead in LEADS:
        told[lead, Need.HIGHEST_MINUTE] = forecast.highest(lead=lead, window=EVERY).values
        told[lead, Need.EACH_MINUTE] = _any_minute(forecast, lead)
    return told


def _any_minute(forecast: Forecast, lead: float) -> Floats:
    """Return quantiles of the rate in a step of the window, whichever step it is."""
    begin, end = (round(seconds / forecast.step) for seconds in (lead, lead + EVERY))
    steps = [np.interp(_EVEN, forecast.quantiles, row) for row in forecast.values[begin:end]]
    return np.quantile(np.concatenate(steps), forecast.quantiles)
