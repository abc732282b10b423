"""What an operator may set of admission: how long each class waits, and how many may wait."""

from dataclasses import dataclass, fields

from inference.gateway.tenancy.priority import Priority

# Budgets in objectives: somebody who looks, a program that waits, a job that nobody watches.
_OBJECTIVES = {Priority.INTERACTIVE: 1.0, Priority.STANDARD: 4.0, Priority.BATCH: 60.0}
_MAY_BE_ZERO = frozenset({"max_waiting", "hold_seconds"})


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """Dials of the line in front of each model; budgets left out follow from the objective."""

    is_on: bool = True  # off, nobody is turned away before the line is full
    ttft_objective_seconds: float = 1.0
    interactive_budget_seconds: float | None = None
    standard_budget_seconds: float | None = None
    batch_budget_seconds: float | None = None
    headroom: float = 0.7  # share of a budget that predictions may use; the rest is their error
    patience: float = 1.5  # budgets after which a request in line is given up
    ageing_seconds: float = 30.0  # in line make up for one class
    max_waiting: int = 1024  # requests in line, per model
    max_waiting_tokens: int = 2**22
    hold_seconds: float = 30.0  # one request's whole wait while no replica serves
    retry_after_seconds: float = 5.0  # where no drain rate is known
    output_weight: float = 5.0  # input tokens that an output token costs, until it is measured
    lookahead: int = 32  # requests looked at behind one that no replica has room for

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None or isinstance(value, bool):
                continue
            if not value >= 0 or (value == 0 and field.name not in _MAY_BE_ZERO):
                raise ValueError(
                    f"admission setting {field.name} must be above 0, got {value}; "
                    f"its default is {field.default}"
                )
        if self.headroom > 1:
            raise ValueError(
                f"admission setting headroom is a share of the budget: expected 0 to 1, "
                f"got {self.headroom}"
            )

    def budget_seconds(self, priority: Priority) -> float:
        """Return how long a request of this class may wait for its first token."""
        given = {
            Priority.INTERACTIVE: self.interactive_budget_seconds,
            Priority.STANDARD: self.standard_budget_seconds,
            Priority.BATCH: self.batch_budget_seconds,
        }[priority]
        return _OBJECTIVES[priority] * self.ttft_objective_seconds if given is None else given
