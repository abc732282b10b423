"""What a warm pool would have paid, in words."""

from rich.text import Text

from forecaster.cli.digits import alone, share
from forecaster.cli.paid import Paid
from forecaster.moments import spoken
from forecaster.scoring.warm_pool import FULL_POOL, decision_level


def pool_sentence(paid: Paid) -> Text:
    """Return what idled, what was missed, and how that compares with knowing demand."""
    bill, beta = paid.bill, paid.beta
    return Text(
        f"A pool of {FULL_POOL} replicas at its peak, ready {spoken(paid.pool.lead)} after each "
        f"decision and sized for p{100 * decision_level(beta):.0f} (missing costs {beta:g} times "
        f"idling):\n{share(_of(bill.idle, paid))} idle and {share(_of(bill.unmet, paid), 1)} "
        f"unmet of what was needed; {share(bill.hit_rate, 1)} of the steps found enough "
        f"warm{_over(paid)}."
    )


def _over(paid: Paid) -> str:
    """Return how the cost compares with that of who knows demand, unless that is nothing."""
    if not paid.least > 0:
        return ""
    return f", at {alone(paid.cost / paid.least)} times the cost of knowing demand"


def _of(part: float, paid: Paid) -> float:
    return part / paid.bill.needed if paid.bill.needed > 0 else float("nan")
