"""What a forecaster says of each decision of a warm pool: how high demand gets in its window."""

from dataclasses import dataclass

import numpy as np

from forecaster.history import Floats
from forecaster.scoring.warm_pool import Replay, decision_level, held


@dataclass(frozen=True, slots=True)
class Outlook:
    """Quantiles of the highest rate in each decision's window, decisions x levels."""

    levels: tuple[float, ...]
    values: Floats  # NaN where there was no forecast

    def replicas(self, played: Replay, beta: float) -> Floats:
        """Return the replicas for each decision at the quantile that `beta` asks for.

        Where there was no forecast, the pool stays as it is.
        """
        level = decision_level(beta)
        rates = np.array([np.interp(level, self.levels, row) for row in self.values])
        return held(played.pool.replicas(rates))
