"""A replica's spans: one per request, with a child for each stage of its answer."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
    use_span,
)
from opentelemetry.util.types import AttributeValue

from inference.api import ChatRequest, GenerationRequest
from inference.engine.sequence import Timings
from inference.errors import ApiError
from telemetry.clock import Clock
from telemetry.tracing import carry, extract

CHAT, TEXT = "chat", "text_completion"  # OpenTelemetry's names of operations
_PROVIDER = "warmfront"
_NANOSECONDS = 1e9
_BEYOND = 2**63
_LONGEST, _MOST = 256, 16  # of what a client wrote: characters of a text, texts of a list
_SERVER_ERROR = 500  # from here on it is not the client's


class Spans:
    """Tells a request as a trace; without an exporter it only carries the ids."""

    def __init__(self, tracer: Tracer, clock: Clock, *, is_exported: bool) -> None:
        self._tracer = tracer
        self._clock = clock
        self._is_exported = is_exported

    @contextmanager
    def request(self, operation: str, headers: Mapping[str, str]) -> Iterator[Span]:
        """Enter the span of a request, as a child of the caller's."""
        parent = extract(headers)
        span = carry(parent) if not self._is_exported else self._started(operation, parent)
        with use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            yield span

    def tell_stages(self, span: Span, timings: Timings, *, read: float, submitted: float) -> None:
        """Add a child for each stage, in wall-clock seconds from when the body was read.

        `submitted` is when the request reached the engine.
        """
        if not span.is_recording():
            return
        context, at = set_span_in_context(span, Context()), submitted
        if timings.encode:
            self._tell("encode", read, timings.encode, context)
        for name in ("queue", "prefill", "decode"):
            seconds: float = getattr(timings, name)
            self._tell(name, at, seconds, context)
            at += seconds

    def _started(self, operation: str, parent: Context) -> Span:
        return self._tracer.start_span(
            operation,
            context=parent,
            kind=SpanKind.SERVER,
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.provider.name": _PROVIDER,
            },
            start_time=_wall(self._clock.now()),
        )

    def _tell(self, name: str, start: float, seconds: float, context: Context) -> None:
        child = self._tracer.start_span(name, context=context, start_time=_wall(start))
        child.end(end_time=_wall(start + seconds))


def asked(span: Span, operation: str, ask: GenerationRequest, model: str) -> None:
    """Tell what was asked of which model."""
    if span.is_recording():
        span.update_name(f"{operation} {model}")
        span.set_attributes({"gen_ai.request.model": model, **_sampling(ask)})


def answered(span: Span, timings: Timings, told: Mapping[str, AttributeValue]) -> None:
    """Tell what was answered, and how long it took."""
    if span.is_recording():
        span.set_attributes(told)
        span.set_attribute("gen_ai.response.time_to_first_chunk", timings.time_to_first_token)
        for stage in ("encode", "queue", "prefill", "decode", "device"):
            span.set_attribute(f"warmfront.{stage}_seconds", getattr(timings, stage))


def failed(span: Span, error: ApiError) -> None:
    """Tell why a request was not answered, or not to its end."""
    span.set_attribute("error.type", error.code or str(error.status))
    if error.status >= _SERVER_ERROR:
        span.set_status(Status(StatusCode.ERROR, str(error)))


def left(span: Span) -> None:
    """Tell that the client has left."""
    span.add_event("client disconnected")
    span.set_attribute("error.type", "cancelled")


def _sampling(ask: GenerationRequest) -> dict[str, AttributeValue]:
    most = ask.max_completion_tokens if isinstance(ask, ChatRequest) else None
    told = {
        "max_tokens": most or ask.max_tokens,
        "temperature": ask.temperature,
        "top_p": ask.top_p,
        "top_k": ask.top_k,
        "seed": ask.seed,
        "frequency_penalty": ask.frequency_penalty,
        "presence_penalty": ask.presence_penalty,
        "choice.count": ask.choices,
        "stream": ask.stream,
    }
    named: dict[str, AttributeValue] = {
        f"gen_ai.request.{name}": _number(value)
        for name, value in told.items()
        if value is not None
    }
    return {**named, "gen_ai.request.stop_sequences": _fit(ask.stops)} if ask.stops else named


def _number(value: float) -> float | str:
    """Spell a number that no attribute can hold: it would fail a whole batch of spans."""
    return value if abs(value) < _BEYOND else str(value)[:_LONGEST]


def _fit(texts: list[str]) -> list[str]:
    """Bound what a client wrote."""
    return [text[:_LONGEST] for text in texts[:_MOST]]


def _wall(seconds: float) -> int:
    """Return a moment in nanoseconds since the epoch."""
    return int(seconds * _NANOSECONDS)
