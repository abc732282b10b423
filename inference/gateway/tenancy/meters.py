"""What tenancy counts: requests that a key, or its lack, does not open."""

from enum import StrEnum

from telemetry.catalog import GATEWAY_UNAUTHORIZED
from telemetry.publish import Metrics


class Refusal(StrEnum):
    """Why a key does not open; the value is the `reason` label."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SCOPE = "scope"


class TenancyMeters:
    """Counts refusals; each reason is there from the start, at zero."""

    def __init__(self, metrics: Metrics) -> None:
        self._unauthorized = metrics.counter(GATEWAY_UNAUTHORIZED)
        for reason in Refusal:
            self._unauthorized.labels(reason.value)

    def refused(self, reason: Refusal) -> None:
        """Count a request that is refused."""
        self._unauthorized.labels(reason.value).inc()
