"""The metrics of routing."""

from collections.abc import Callable, Iterable

from inference.gateway.routing.breaker import BreakerState
from inference.gateway.routing.candidate import Candidate
from inference.gateway.routing.choice import Choice, Reason
from telemetry.catalog import (
    GATEWAY_BREAKER,
    GATEWAY_BREAKER_MOVES,
    GATEWAY_LOAD_AGE,
    GATEWAY_REGION_ROUTED,
    GATEWAY_RETRIES_DENIED,
    GATEWAY_ROSTER_ERRORS,
    GATEWAY_ROUTED,
)
from telemetry.labels import CappedLabels
from telemetry.process_table import ReplicaRecord
from telemetry.publish import Metrics

_REGIONS_SHOWN = 32
_HERE = "local"  # region of replicas that name none, beside a gateway that names none


class RoutingMeters:
    """Counts choices, and shows what they go by."""

    def __init__(self, metrics: Metrics, *, region: str = "") -> None:
        """`region` is that of replicas whose records name none."""
        self._metrics = metrics
        self._region_label = CappedLabels(_REGIONS_SHOWN)
        self._region = region or _HERE
        self._routed = metrics.counter(GATEWAY_ROUTED)
        self._region_routed = metrics.counter(GATEWAY_REGION_ROUTED)
        self._moves = metrics.counter(GATEWAY_BREAKER_MOVES)
        self._denied = metrics.counter(GATEWAY_RETRIES_DENIED)
        self._roster_errors = metrics.counter(GATEWAY_ROSTER_ERRORS)

    def introduce(self, model: str) -> None:
        """Begin the series of a model at zero."""
        for reason in Reason:
            self._routed.labels(model, reason.value)
        for state in BreakerState:
            self._moves.labels(model, state.value)
        self._denied.labels(model)

    def chosen(self, model: str, choice: Choice) -> None:
        """Count a choice of a replica."""
        region = self._region_label(choice.record.region or self._region)
        self._routed.labels(model, choice.reason.value).inc()
        self._region_routed.labels(model, region).inc()

    def breaker_moved(self, record: ReplicaRecord, state: BreakerState) -> None:
        """Count a change of a replica's circuit breaker."""
        self._moves.labels(record.model, state.value).inc()

    def retry_denied(self, model: str) -> None:
        """Count a retry that the budget did not allow."""
        self._denied.labels(model).inc()

    def roster_unreadable(self) -> None:
        """Count a reading of the process table that failed."""
        self._roster_errors.inc()

    def show(
        self, candidates: Iterable[Candidate], *, is_open: Callable[[str], bool], now: float
    ) -> None:
        """Show every serving replica as it stands; one that is gone has no series."""
        ages, breakers = [], []
        for one in candidates:
            labels = {"model": one.record.model, "replica": one.record.id}
            breakers.append((labels, float(is_open(one.record.id))))
            if one.loaded_at is not None:
                ages.append((labels, max(now - one.loaded_at, 0.0)))
        self._metrics.replace(GATEWAY_BREAKER, breakers)
        self._metrics.replace(GATEWAY_LOAD_AGE, ages)
