"""Admission's metrics: how each line stands when it is asked, and who was turned away."""

import math
from collections.abc import Callable

from inference.gateway.admission.backlog import LineStanding
from inference.gateway.admission.decision import TurnedAway
from inference.gateway.tenancy.priority import Priority
from telemetry.catalog import (
    GATEWAY_BACKLOG,
    GATEWAY_HELD,
    GATEWAY_PREDICTED_WAIT,
    GATEWAY_THROUGHPUT,
    GATEWAY_TURNED_AWAY,
)
from telemetry.publish import Metrics

_RATE_LIMIT = "rate_limit"


class AdmissionMeters:
    """Counts refusals as they happen; the gauges ask the line only when they are read."""

    def __init__(self, metrics: Metrics) -> None:
        self._held = metrics.gauge(GATEWAY_HELD)
        self._backlog = metrics.gauge(GATEWAY_BACKLOG)
        self._throughput = metrics.gauge(GATEWAY_THROUGHPUT)
        self._predicted_wait = metrics.gauge(GATEWAY_PREDICTED_WAIT)
        self._turned_away = metrics.counter(GATEWAY_TURNED_AWAY)

    def introduce(self, model: str, standing: Callable[[], LineStanding]) -> None:
        """Make a model's series; what is not known yet reads as NaN, which is no value."""
        self._backlog.labels(model).set_function(lambda: standing().backlog_tokens)
        self._throughput.labels(model).set_function(lambda: _known(standing().throughput))
        for priority in Priority:
            self._introduce(model, priority, standing)

    def turned_away(self, model: str, priority: Priority, reason: TurnedAway) -> None:
        """Count one request that was told to come back later."""
        self._turned_away.labels(model, priority.value, reason.value).inc()

    def rate_limited(self, model: str, priority: Priority) -> None:
        """Count one request that never came to the line: its key allows no more."""
        self._turned_away.labels(model, priority.value, _RATE_LIMIT).inc()

    def _introduce(
        self, model: str, priority: Priority, standing: Callable[[], LineStanding]
    ) -> None:
        self._held.labels(model, priority.value).set_function(lambda: standing().waiting[priority])
        self._predicted_wait.labels(model, priority.value).set_function(
            lambda: _known(standing().predicted_waits[priority])
        )
        for reason in (*TurnedAway, _RATE_LIMIT):
            self._turned_away.labels(model, priority.value, str(reason))


def _known(value: float | None) -> float:
    return math.nan if value is None else value
