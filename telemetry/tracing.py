"""Traces: the spans of one process, exported only where an endpoint is configured.

Nothing here is global: a tracer is an argument like any other, so that two of them (in a test,
in one process that plays two parts) never share spans.
"""

from collections.abc import Mapping, MutableMapping
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_EXPORT_SECONDS = 2.0  # bounds how long a missing collector holds up the end of a process
_TRACES_PATH = "/v1/traces"
_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing:
    """One process's tracer, and the provider that must be closed after it."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer("warmfront")

    def close(self) -> None:
        """Export what is left, within a bound, and stop."""
        self.provider.shutdown()


def open_tracing(
    service_name: str,
    *,
    otlp_endpoint: str | None = None,
    instance: str,
    exporter: SpanExporter | None = None,
) -> Tracing:
    """Start tracing as one instance of a service.

    `otlp_endpoint` is a collector such as http://127.0.0.1:4318; `exporter` takes each span as
    it ends, which tests read. Without either, spans still carry their ids from process to
    process and into the logs.
    """
    resource = Resource.create({"service.name": service_name, "service.instance.id": instance})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if otlp_endpoint is not None:
        provider.add_span_processor(BatchSpanProcessor(_otlp(otlp_endpoint)))
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracing(provider)


def extract(headers: Mapping[str, str]) -> Context:
    """Return the caller's trace context from W3C headers; an empty one where there is none."""
    return _PROPAGATOR.extract(headers, context=Context())


def inject(headers: MutableMapping[str, str], context: Context | None = None) -> None:
    """Write the current (or the given) trace context into W3C headers."""
    _PROPAGATOR.inject(headers, context=context)


def _otlp(endpoint: str) -> SpanExporter:
    # Imported only where it is used: it costs a tenth of a second of every cold start.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    return OTLPSpanExporter(endpoint=_traces_url(endpoint), timeout=_EXPORT_SECONDS)


def _traces_url(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError(
            f"expected an OTLP endpoint such as http://127.0.0.1:4318, got {endpoint!r}"
        )
    return endpoint if parts.path.strip("/") else endpoint.rstrip("/") + _TRACES_PATH
