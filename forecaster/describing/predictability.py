"""How predictable demand is: what forecasts lose at past origins, over two simple forecasts."""

from dataclasses import dataclass

import numpy as np

from forecaster.scoring.backtest import Backtest
from forecaster.scoring.bootstrap import LossRatio, ratio_of_losses
from forecaster.scoring.origins import block_of


@dataclass(frozen=True, slots=True)
class Predictability:
    """Losses over the whole horizon, with intervals from the origins that they rest on."""

    horizon_minutes: float
    over_yesterday: LossRatio  # over the daily seasonal naive
    over_last: LossRatio  # over the last value


def predictability(backtest: Backtest, generator: np.random.Generator) -> Predictability | None:
    """Compare the forecasts of a backtest with simple ones; None where there were none."""
    if not backtest.origins.size:
        return None
    mine = backtest.losses()
    horizon = backtest.actual.shape[1]
    block = block_of(backtest.origins, horizon)
    return Predictability(
        horizon * backtest.step / 60.0,
        ratio_of_losses(mine, backtest.losses(backtest.yesterday), generator, block=block),
        ratio_of_losses(mine, backtest.losses(backtest.last), generator, block=block),
    )
