"""What coalescing counts: answers that were not computed, and the tokens that this saved."""

from inference.gateway.coalescing.seat import Source
from inference.gateway.timeline import Usage
from telemetry.catalog import GATEWAY_CACHE_BYTES, GATEWAY_COALESCED, GATEWAY_SAVED_TOKENS
from telemetry.publish import Metrics


class CoalescingMeters:
    """Counts what was shared; models come from the roster, never from a client."""

    def __init__(self, metrics: Metrics) -> None:
        self._coalesced = metrics.counter(GATEWAY_COALESCED)
        self._saved = metrics.counter(GATEWAY_SAVED_TOKENS)
        self._cache_bytes = metrics.gauge(GATEWAY_CACHE_BYTES)

    def introduce(self, model: str) -> None:
        """Make a model's series, at zero, so that their first increase can be seen."""
        for source in (Source.FLIGHT, Source.CACHE):
            self._coalesced.labels(model, source.value)
            self._saved.labels(model, source.value)

    def shared(self, model: str, source: Source, usage: Usage | None) -> None:
        """Count one request that has all of an answer which it did not cost."""
        self._coalesced.labels(model, source.value).inc()
        if usage is not None:
            saved = usage.input_tokens + usage.output_tokens
            self._saved.labels(model, source.value).inc(saved)

    def cached(self, size: int) -> None:
        """Publish the size of the cache, in bytes."""
        self._cache_bytes.set(size)
