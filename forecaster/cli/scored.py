"""A trial in scores: near and far, each over the daily seasonal naive with its noise."""

from dataclasses import dataclass

import numpy as np

from forecaster.cli.digits import json_number, level
from forecaster.cli.output.result import Cell
from forecaster.cli.trial import Trial
from forecaster.scoring.backtest import Backtest
from forecaster.scoring.bootstrap import LossRatio, ratio_of_losses
from forecaster.scoring.origins import block_of
from forecaster.scoring.summary import Scores, by_horizon, summarise


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of one stretch of the horizon, and how sure their ratio to the daily naive is."""

    scores: Scores
    ratio: LossRatio

    @property
    def row(self) -> dict[str, Cell]:
        """The same for machines."""
        scores = self.scores
        return {
            "begins_minutes": scores.begins,
            "ends_minutes": scores.ends,
            "values": scores.points,
            "loss": json_number(scores.loss),
            "weighted_quantile_loss": json_number(scores.relative_loss),
            "scaled_error": json_number(scores.scaled_error),
            "over_daily_naive": json_number(self.ratio.ratio),
            "over_daily_naive_low": json_number(self.ratio.low),
            "over_daily_naive_high": json_number(self.ratio.high),
            "over_last_value": json_number(scores.over_last),
            **{f"coverage_{level(at)}": json_number(told) for at, told in scores.coverage.items()},
        }


def scored_of(trial: Trial, generator: np.random.Generator) -> list[Scored]:
    """Score each bucket of the horizon, and all of it last where there are several."""
    tested = trial.backtest
    parts = by_horizon(tested)
    scores = [*parts, summarise(tested)] if len(parts) > 1 else [summarise(tested)]
    return [
        Scored(one, _over_yesterday(tested, one.begins, one.ends, generator)) for one in scores
    ]


def _over_yesterday(
    tested: Backtest, begins: float, ends: float, generator: np.random.Generator
) -> LossRatio:
    part = tested.between(begins, ends)
    block = block_of(tested.origins, round(ends * 60.0 / tested.step))
    return ratio_of_losses(part.losses(), part.losses(part.yesterday), generator, block=block)
