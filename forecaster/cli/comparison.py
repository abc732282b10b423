"""A comparison: several ways of forecasting at the same origins, each against the combination."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from forecaster.cli.asked import Asked
from forecaster.cli.digits import json_number
from forecaster.cli.forecasting import past_maker
from forecaster.cli.loading import load_siblings
from forecaster.cli.output.result import Cell
from forecaster.cli.progress import OnProgress
from forecaster.cli.trial import COMBINATION, Course, Trial, run_trial
from forecaster.history import Floats
from forecaster.models.model import Model
from forecaster.scoring.bootstrap import LossRatio, ratio_of_losses
from forecaster.scoring.origins import block_of
from forecaster.scoring.outlook import Outlook
from forecaster.scoring.reactive import PEERS, tune
from forecaster.scoring.scores import coverage
from forecaster.scoring.warm_pool import Bill, bill

UNKNOWN = LossRatio(float("nan"), float("nan"), float("nan"), 0)


@dataclass(frozen=True, slots=True)
class Compared:
    """How one of them did; NaN for what it does not tell, such as the loss of a reactive rule."""

    name: str
    over_yesterday: float  # loss over the daily seasonal naive's
    over_combination: LossRatio  # loss over the combination's, paired by origin
    coverage: tuple[float, float]  # share of demand at or below p90 and p99
    paid: Bill
    cost_over_combination: LossRatio

    @property
    def row(self) -> dict[str, Cell]:
        """The same for machines."""
        return {
            "name": self.name,
            "over_daily_naive": json_number(self.over_yesterday),
            **_ratio("over_combination", self.over_combination),
            "coverage_p90": json_number(self.coverage[0]),
            "coverage_p99": json_number(self.coverage[1]),
            "idle": json_number(self.paid.idle),
            "unmet": json_number(self.paid.unmet),
            "needed": json_number(self.paid.needed),
            **_ratio("cost_over_combination", self.cost_over_combination),
        }


def compare_all(
    asked: Asked, models: Sequence[Model], course: Course, on_progress: OnProgress
) -> list[Compared]:
    """Return the combination, each model alone, simple forecasts and reactive rules."""
    siblings = load_siblings(asked, course.demand)
    ways = {COMBINATION: past_maker(asked, models, siblings)}
    if len(models) > 1:
        ways |= {model.name: past_maker(asked, [model], siblings) for model in models}
    total = len(ways) * int(course.origins.size)
    trials = [
        run_trial(name, make, course, _shifted(on_progress, at, total))
        for at, (name, make) in enumerate(ways.items())
    ]
    return _compared(asked, trials, course)


def chosen(compared: Sequence[Compared], members: Collection[str]) -> str:
    """Return the way to forecast that a pool pays least for.

    That is the combination, unless one of the `members` costs less beyond what may be chance.
    """
    cheaper = [
        one
        for one in compared
        if one.name in members and one.cost_over_combination.high < 1  # never so where unknown
    ]
    best = min(cheaper, key=lambda one: one.cost_over_combination.ratio, default=None)
    return COMBINATION if best is None else best.name


def _shifted(on_progress: OnProgress, place: int, total: int) -> OnProgress:
    """Return what counts the origins of one of several trials into the count of all."""

    def told(done: int, of: int) -> None:
        on_progress(place * of + done, total)

    return told


def _compared(asked: Asked, trials: list[Trial], course: Course) -> list[Compared]:
    against = _Against(asked, trials[0], course, np.random.default_rng(asked.seed))
    made = [against.trial(trial) for trial in trials if trial.backtest.origins.size]
    simple = [
        against.simple("daily naive, by its errors", trials[0].backtest.yesterday),
        against.simple("last value, by its errors", trials[0].backtest.last),
    ]
    best = tune([course.played], asked.beta).each[0]
    rules = {**PEERS, f"hindsight: {best.name}": best}
    played = course.played
    reacting = [against.rule(name, rule.replicas(played)) for name, rule in rules.items()]
    return [*made, *simple, *reacting]


@dataclass(frozen=True, slots=True)
class _Against:
    """Holds ways of forecasting against the combination."""

    asked: Asked
    combination: Trial
    course: Course
    generator: np.random.Generator

    def trial(self, trial: Trial) -> Compared:
        """Compare a way that forecast at the same origins."""
        losses = self._spread(trial, trial.backtest.losses())
        told = trial.backtest.forecast
        return self._compared(
            trial.name, losses, trial.backtest.actual, told,
            trial.outlook.replicas(self.course.played, self.asked.beta),
        )  # fmt: skip

    def simple(self, name: str, told: Floats) -> Compared:
        """Compare one of the simple forecasts of the combination's own backtest."""
        tested = self.combination.backtest
        losses = self._spread(self.combination, tested.losses(told))
        outlook = Outlook(tested.levels, self._highest(told))
        return self._compared(
            name, losses, tested.actual, told,
            outlook.replicas(self.course.played, self.asked.beta),
        )  # fmt: skip

    def rule(self, name: str, replicas: Floats) -> Compared:
        """Compare a rule that chooses replicas without a forecast."""
        paid = bill(replicas, self.course.played)
        nan = float("nan")
        return Compared(name, nan, UNKNOWN, (nan, nan), paid, self._cost(paid))

    def _compared(
        self, name: str, losses: Floats, actual: Floats, told: Floats, replicas: Floats
    ) -> Compared:
        tested, ahead = self.combination.backtest, self.course.settings.horizon_steps
        paid = bill(replicas, self.course.played)
        yesterday = self._spread(self.combination, tested.losses(tested.yesterday))
        mine = self._spread(self.combination, tested.losses())
        return Compared(
            name,
            self._over(losses, yesterday, ahead).ratio,
            UNKNOWN if name == COMBINATION else self._over(losses, mine, ahead),
            (self._coverage(actual, told, 0.9), self._coverage(actual, told, 0.99)),
            paid,
            UNKNOWN if name == COMBINATION else self._cost(paid),
        )

    def _cost(self, paid: Bill) -> LossRatio:
        beta = self.asked.beta
        chosen = self.combination.outlook.replicas(self.course.played, beta)
        mine = bill(chosen, self.course.played)
        pool, step = self.course.played.pool, self.course.demand.step
        ahead = math.ceil((pool.lead + pool.every) / step - 1e-9)
        return self._over(paid.costs(beta), mine.costs(beta), ahead)

    def _over(self, losses: Floats, others: Floats, ahead: int) -> LossRatio:
        """Return the ratio of what each origin lost within the steps `ahead` of it."""
        block = block_of(self.course.origins, ahead)
        return ratio_of_losses(losses, others, self.generator, block=block)

    def _coverage(self, actual: Floats, told: Floats, quantile: float) -> float:
        return coverage(actual, told[..., self.course.settings.quantiles.index(quantile)])

    def _spread(self, trial: Trial, losses: Floats) -> Floats:
        """Return one loss for each origin of the course, NaN where there was no forecast."""
        whole = np.full(self.course.origins.size, np.nan)
        whole[np.isin(self.course.origins, trial.backtest.origins)] = losses
        return whole

    def _highest(self, told: Floats) -> Floats:
        """Return the highest of each window, step by step, for each origin of the course."""
        pool, step = self.course.played.pool, self.course.demand.step
        first = min(int(pool.lead / step + 1e-9), told.shape[1] - 1)
        last = first + max(1, round(pool.every / step))
        whole = np.full((self.course.origins.size, told.shape[2]), np.nan)
        kept = np.isin(self.course.origins, self.combination.backtest.origins)
        whole[kept] = told[:, first:last].max(axis=1)
        return whole


def _ratio(name: str, ratio: LossRatio) -> dict[str, Cell]:
    return {
        name: json_number(ratio.ratio),
        f"{name}_low": json_number(ratio.low),
        f"{name}_high": json_number(ratio.high),
    }
