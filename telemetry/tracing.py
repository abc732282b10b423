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
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    TraceFlags,
    format_trace_id,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_EXPORT_SECONDS = 2.0  # bounds how long a missing collector holds up the end of a process
_TRACES_PATH = "/v1/traces"
_PROPAGATOR = TraceContextTextMapPropagator()
_IDS = RandomIdGenerator()
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Tracing:
    """One process's tracer, and the provider that must be closed after it."""

    def __init__(self, provider: TracerProvider, *, is_exported: bool) -> None:
        self.provider = provider
        self.is_exported = is_exported  # else spans carry their ids, and nobody will see them
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
    sample_ratio: float = 1.0,
) -> Tracing:
    """Start tracing as one instance of a service.

    `otlp_endpoint` is a collector such as http://127.0.0.1:4318; `exporter` takes each span as
    it ends, which tests read. Without either, spans still carry their ids from process to
    process and into the logs. Of the traces that begin here a share of `sample_ratio` is
    recorded; those that a caller began are recorded where the caller says so.
    """
    resource = Resource.create({"service.name": service_name, "service.instance.id": instance})
    sampler = ParentBasedTraceIdRatio(sample_ratio)
    provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    if otlp_endpoint is not None:
        provider.add_span_processor(BatchSpanProcessor(_otlp(otlp_endpoint)))
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracing(provider, is_exported=otlp_endpoint is not None or exporter is not None)


def extract(headers: Mapping[str, str]) -> Context:
    """Return the caller's trace context from W3C headers; an empty one where there is none."""
    return _PROPAGATOR.extract(headers, context=Context())


def inject(headers: MutableMapping[str, str], context: Context | None = None) -> None:
    """Write the current (or the given) trace context into W3C headers."""
    _PROPAGATOR.inject(headers, context=context)


def carry(parent: Context) -> Span:
    """Return a span that only carries ids: of the caller's trace, or of a new one.

    It costs a tenth of one that is recorded, which nobody would see without an exporter.
    """
    caller = get_current_span(parent).get_span_context()
    span_id = _IDS.generate_span_id()
    if not caller.is_valid:
        trace_id = _IDS.generate_trace_id()
        return NonRecordingSpan(SpanContext(trace_id, span_id, False, _SAMPLED))
    return NonRecordingSpan(
        SpanContext(caller.trace_id, span_id, False, caller.trace_flags, caller.trace_state)
    )


def exemplar_of(span: Span) -> dict[str, str] | None:
    """Return the label that leads from an observation to a recorded trace; None without one."""
    context = span.get_span_context()
    if not (span.is_recording() and context.trace_flags.sampled):
        return None
    return {"trace_id": format_trace_id(context.trace_id)}


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
