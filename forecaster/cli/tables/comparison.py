"""The tables of a comparison: who loses less, who costs a pool less, and what may be chance."""

import math
from collections.abc import Iterable

from rich.console import Group
from rich.text import Text

from forecaster.cli.comparison import Compared
from forecaster.cli.digits import MISSING, amount, share
from forecaster.cli.output.terminal import table, titled
from forecaster.cli.trial import COMBINATION, Course
from forecaster.scoring.bootstrap import LossRatio

_WHICH = "\nwhich is"
_LOSSES = ("", "loss /\nnaive", "loss /\ncomb.", _WHICH, "\n≤ p90", "\n≤ p99")
_COSTS = ("", "\nidle", "\nunmet", "cost /\ncomb.", _WHICH)


def loss_table(compared: Iterable[Compared], course: Course) -> Group:
    """Return a row for each way of forecasting: its losses, and how its quantiles held."""
    made = table(_LOSSES, left=["", _WHICH])
    for one in compared:
        if math.isnan(one.coverage[0]):
            continue
        made.add_row(
            one.name,
            amount(one.over_yesterday, 3),
            amount(one.over_combination.ratio, 3),
            verdict(one.over_combination, "better", "worse"),
            *(share(told, 1) for told in one.coverage),
        )
    return titled(
        f"{course.demand.name}, the same {course.origins.size} origins",
        made,
        "Naive: the day before; comb.: the combination. Within noise: 95 % of draws of the "
        "origins do not agree which is better, or too few are apart to tell. ≤ p90: share of "
        "demand at or below, 90% is right.",
    )


def cost_table(compared: Iterable[Compared], beta: float, choice: str) -> Group:
    """Return a row for each way and each rule: what a warm pool pays by it."""
    made = table(_COSTS, left=["", _WHICH])
    for one in compared:
        needed = one.paid.needed or float("nan")
        made.add_row(
            one.name,
            share(one.paid.idle / needed),
            share(one.paid.unmet / needed, 1),
            amount(one.cost_over_combination.ratio, 2),
            verdict(one.cost_over_combination, "less", "more"),
        )
    return titled(
        "What a warm pool pays",
        made,
        f"Of the replica-minutes needed. Cost: idle, and {beta:g} times unmet; the rules that "
        f"only react are below.\n{_advice(choice)}",
    )


def _advice(choice: str) -> str:
    if choice == COMBINATION:
        return "No member surely costs less than all of them combined: keep the combination."
    return f"{choice} surely costs less than all members combined: --members '{choice}'."


def verdict(ratio: LossRatio, less: str, more: str) -> Text:
    """Return in a word whether a ratio is below 1, above, or not known to be either."""
    if math.isnan(ratio.ratio):
        return Text(MISSING)
    if ratio.is_within_noise:
        return Text("within noise", style="dim")
    return Text(less, style="green") if ratio.high < 1 else Text(more, style="red")
