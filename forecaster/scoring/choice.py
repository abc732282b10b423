"""Choosing among forecasters by what a warm pool pays, beyond noise."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forecaster.scoring.bootstrap import LossRatio, ratio_of_losses
from forecaster.scoring.outlook import Outlook
from forecaster.scoring.warm_pool import Bill, Need, Replay, bill, foresight

_BLOCK_MINUTES = 180.0  # decisions so near each other share their luck


@dataclass(frozen=True, slots=True)
class Paid:
    """What the pool paid with one forecaster."""

    name: str
    bill: Bill
    cost: float  # idle replica-minutes and beta times the unmet ones
    over_foresight: float  # NaN where who knows demand pays nothing
    over_chosen: LossRatio  # cost over that of the one chosen


@dataclass(frozen=True, slots=True)
class Choice:
    """The forecaster to size a pool with, and what each would have paid, the cheapest first."""

    name: str
    paid: tuple[Paid, ...]

    @property
    def is_certain(self) -> bool:
        """Whether every other one paid more by more than noise."""
        return all(
            not one.over_chosen.is_within_noise for one in self.paid if one.name != self.name
        )


def choose(
    outlooks: Mapping[str, Outlook],
    played: Replay,
    beta: float,
    generator: np.random.Generator,
    *,
    need: Need = Need.EACH_MINUTE,
    incumbent: str | None = None,
) -> Choice:
    """Return the forecaster with which the pool pays least, where that is more than noise.

    The incumbent stays where the cheapest beats it by noise alone: changing for nothing unsettles
    the pool.
    """
    if not outlooks:
        raise ValueError("expected at least one forecaster to choose from")
    bills = {
        name: bill(outlook.replicas(played, beta), played, need)
        for name, outlook in outlooks.items()
    }
    costs = {name: one.costs(beta) for name, one in bills.items()}
    order = sorted(bills, key=lambda name: bills[name].cost(beta))
    block = max(1, round(60.0 * _BLOCK_MINUTES / played.pool.every))

    def over(name: str, other: str) -> LossRatio:
        return ratio_of_losses(costs[name], costs[other], generator, block=block)

    chosen = order[0]
    if incumbent in costs and over(chosen, incumbent).is_within_noise:
        chosen = incumbent
    least = bill(foresight(played, beta, need), played, need).cost(beta)
    paid = tuple(
        Paid(
            name,
            bills[name],
            bills[name].cost(beta),
            _over(bills[name], beta, least),
            over(name, chosen),
        )
        for name in order
    )
    return Choice(chosen, paid)


def _over(one: Bill, beta: float, least: float) -> float:
    return one.cost(beta) / least if least > 0 else float("nan")
