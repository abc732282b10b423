"""The metrics of tenants: who asks for how much, however many they become."""

from collections.abc import Callable

from inference.gateway.timeline import Outcome, Usage
from telemetry.catalog import TENANT_REQUESTS, TENANT_TOKENS
from telemetry.publish import Metrics

_ANSWERED = "answered"  # a label that says nothing would be no label


class TenantMeters:
    """Counts by tenant; `label` bounds how many of them have series of their own."""

    def __init__(self, metrics: Metrics, *, label: Callable[[str], str]) -> None:
        self._label = label
        self._requests = metrics.counter(TENANT_REQUESTS)
        self._tokens = metrics.counter(TENANT_TOKENS)

    def introduce(self, tenant: str) -> None:
        """Make a tenant's series, at zero."""
        label = self._label(tenant)
        self._requests.labels(label, _ANSWERED)
        for kind in ("input", "output"):
            self._tokens.labels(label, kind)

    def finished(self, tenant: str, outcome: Outcome, usage: Usage | None) -> None:
        """Count a request that is over."""
        label = self._label(tenant)
        self._requests.labels(label, outcome.value or _ANSWERED).inc()
        if usage is not None:
            self._tokens.labels(label, "input").inc(usage.input_tokens)
            self._tokens.labels(label, "output").inc(usage.output_tokens)
