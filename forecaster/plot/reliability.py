"""Reliability: from a backtest, how much fell below each level and between one and the next."""

import numpy as np

from forecaster.plot.picture import Reliability
from forecaster.scoring.backtest import Backtest
from forecaster.scoring.summary import pit_shares, summarise

_BINS = 10


def reliability_of(backtest: Backtest, generator: np.random.Generator) -> Reliability | None:
    """Count where what came fell; None where nothing came that could be compared."""
    told = summarise(backtest)
    if not told.points:
        return None
    return Reliability(
        levels=np.array(list(told.coverage)),
        coverage=np.array(list(told.coverage.values())),
        shares=pit_shares(backtest, generator, bins=_BINS),
        edges=np.linspace(0.0, 1.0, _BINS + 1),
        outcomes=told.points,
    )
