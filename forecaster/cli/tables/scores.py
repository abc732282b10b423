"""The table of a backtest: how good forecasts were, near and far, over the day before."""

import math

from rich.console import Group

from forecaster.cli.digits import MISSING, amount, level, share
from forecaster.cli.output.terminal import table, titled
from forecaster.cli.scored import Scored
from forecaster.moments import spoken
from forecaster.scoring.bootstrap import LossRatio

_LEVELS = (0.5, 0.9, 0.99)
_COLUMNS = ("ahead", "loss /\nnaive", "95 %\nof draws", "MASE", "wQL")


def score_table(scored: list[Scored], name: str, origins: int) -> Group:
    """Return a row for each stretch of the horizon, the whole of it last."""
    made = table([*_COLUMNS, *(f"≤ {level(quantile)}" for quantile in _LEVELS)])
    for one in scored:
        scores = one.scores
        is_whole = len(scored) > 1 and one is scored[-1]
        made.add_row(
            "all" if is_whole else f"to {spoken(scores.ends * 60)}",
            amount(one.ratio.ratio, 3),
            interval(one.ratio),
            amount(scores.scaled_error, 3),
            amount(scores.relative_loss, 3),
            *(share(scores.coverage.get(quantile), 1) for quantile in _LEVELS),
            style="bold" if is_whole else None,
        )
    return titled(
        f"{name}, forecast again at {origins} origins",
        made,
        "Naive: the day before; -: too few origins apart to draw from. ≤ p90: share of demand at "
        "or below, 90% is right.",
    )


def interval(ratio: LossRatio) -> str:
    """Return the bounds that drawing the origins again gives a ratio."""
    if math.isnan(ratio.low):
        return MISSING
    return f"{amount(ratio.low, 2)} to {amount(ratio.high, 2)}"
