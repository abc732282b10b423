"""Second tries: whether a request may be sent again that a lost replica may have begun."""

from inference.gateway.routing.meters import RoutingMeters
from inference.gateway.routing.retry_budget import RetryBudget
from telemetry.clock import Clock


class SecondTries:
    """Bounds what is sent again, for each request and for all of them together."""

    def __init__(
        self, budget: RetryBudget, meters: RoutingMeters, *, max_losses: int, clock: Clock
    ) -> None:
        self._budget = budget
        self._meters = meters
        self._max_losses = max_losses
        self._clock = clock

    def requested(self, model: str) -> None:
        """Take note of a request: a share of them may be sent again."""
        self._budget.requested(model, self._clock.monotonic())

    def may_follow(self, model: str, losses: int) -> bool:
        """Tell whether another try may follow so many losses, and spend the budget for it."""
        if losses > self._max_losses:
            return False
        is_allowed = self._budget.may_retry(model, self._clock.monotonic())
        if not is_allowed:
            self._meters.retry_denied(model)
        return is_allowed
