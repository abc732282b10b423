"""How predictable demand is: what forecasts lose at past origins, over two simple forecasts."""

from dataclasses import dataclass

import numpy as np

from forecaster.scoring.backtest import Backtest
from forecaster.scoring.bootstrap import LossRatio, ratio_of_losses


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
    return Predictability(
        backtest.actual.shape[1] * backtest.step / 60.0,
        ratio_of_losses(mine, backtest.losses(backtest.yesterday), generator),
        ratio_of_losses(mine, backtest.losses(backtest.last), generator),
    )
