"""What a warm pool would have paid in a trial, beside what it pays who knows demand."""

from dataclasses import dataclass

from forecaster.cli.digits import json_number
from forecaster.cli.trial import Course, Trial
from forecaster.scoring.warm_pool import Bill, Pool, bill, foresight


@dataclass(frozen=True, slots=True)
class Paid:
    """The bill of a pool, and how a missing replica weighs in it."""

    pool: Pool
    beta: float  # a missing replica-minute costs so many idle ones
    bill: Bill
    least: float  # cost of who knows demand

    @property
    def cost(self) -> float:
        """Idle replica-minutes, and beta times the unmet ones."""
        return self.bill.cost(self.beta)

    @property
    def document(self) -> dict[str, object]:
        """The same for machines: seconds, the demand's unit and replica-minutes."""
        return {
            "lead": self.pool.lead,
            "window": self.pool.every,
            "capacity": self.pool.capacity,
            "beta": self.beta,
            "cost": json_number(self.cost),
            "idle": json_number(self.bill.idle),
            "unmet": json_number(self.bill.unmet),
            "needed": json_number(self.bill.needed),
            "hit_rate": json_number(self.bill.hit_rate),
            "foresight_cost": json_number(self.least),
        }


def paid_in(trial: Trial, course: Course, beta: float) -> Paid:
    """Return what the pool would have paid, sized as the trial's forecasts say."""
    played = course.played
    return Paid(
        played.pool,
        beta,
        bill(trial.outlook.replicas(played, beta), played),
        bill(foresight(played, beta), played).cost(beta),
    )
