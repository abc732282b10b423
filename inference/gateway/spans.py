"""The gateway's spans: one per request, with a child for each stage of its timeline."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from urllib.parse import urlsplit

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from inference.gateway.completion import Operation
from inference.gateway.exchange import Exchange
from inference.gateway.latency_meters import PROVIDER
from inference.gateway.timeline import Interval, Outcome, Stage, Timeline
from telemetry.tracing import carry, exemplar_of, extract

COLD_START = "cold start"
_NANOSECONDS = 1e9
_LONGEST = 256  # characters of one attribute
_MOST = 16  # values of one attribute
_SERVER_ERROR = 500  # from here on it is not the client's


class Spans:
    """Tells a request as a trace; without an exporter it only carries the ids."""

    def __init__(self, tracer: Tracer, *, is_exported: bool) -> None:
        self._tracer = tracer
        self._is_exported = is_exported

    def request(
        self, operation: Operation, headers: Mapping[str, str], timeline: Timeline
    ) -> AbstractContextManager[Span]:
        """Return the span of a request as the current one while entered; leaving ends it."""
        parent = extract(headers)
        if not self._is_exported:
            return _Current(carry(parent))
        span = self._tracer.start_span(
            operation.value,
            context=parent,
            kind=SpanKind.SERVER,
            attributes={
                "gen_ai.operation.name": operation.value,
                "gen_ai.provider.name": PROVIDER,
                "http.request.method": "POST",
                "http.route": operation.path,
                **_server(headers.get("Host", "")),
            },
            start_time=_wall(timeline, timeline.received),
        )
        return _Current(span)

    def exemplar(self, span: Span) -> dict[str, str] | None:
        """Return what leads from a request's latencies to its trace, where that will be seen."""
        return exemplar_of(span) if self._is_exported else None

    def refused(self, span: Span, status: int, outcome: Outcome) -> None:
        """Tell of a request that could not be taken in."""
        if span.is_recording():
            _end(span, outcome, status)

    def finish(
        self,
        span: Span,
        exchange: Exchange,
        *,
        was_short: bool = False,
    ) -> None:
        """Tell what became of a request, and end its span with the last byte of its answer.

        `was_short` says that capacity was starting while it waited.
        """
        if not span.is_recording():
            return
        ask, timeline = exchange.ask, exchange.timeline
        span.update_name(f"{ask.operation.value} {ask.model}")
        told = {**_asked(exchange), **_answered(exchange), **exchange.response}
        span.set_attributes({name: _fit(value) for name, value in told.items()})
        _end(span, exchange.outcome, exchange.status)
        self._tell_stages(span, exchange, was_short=was_short)
        if timeline.flushed is not None:
            span.end(end_time=_wall(timeline, timeline.flushed))

    def _tell_stages(self, span: Span, exchange: Exchange, *, was_short: bool) -> None:
        context, timeline = set_span_in_context(span, Context()), exchange.timeline
        intervals = timeline.intervals()
        if was_short and (waits := [one for one in intervals if one.stage is Stage.QUEUE]):
            cold = Interval(Stage.QUEUE, waits[0].start, waits[-1].end)
            self._tell(COLD_START, cold, timeline, context)
        for one in intervals:
            # What followed the last token of a broken answer was no flush but a wait in vain.
            if one.stage is not Stage.FLUSH or exchange.outcome is Outcome.ANSWERED:
                self._tell(one.stage.value, one, timeline, context)

    def _tell(self, name: str, one: Interval, timeline: Timeline, context: Context) -> None:
        child = self._tracer.start_span(
            name, context=context, start_time=_wall(timeline, one.start)
        )
        child.end(end_time=_wall(timeline, one.end))


class _Current:
    """Makes a span the current one; cheaper than a generator, for every request has one."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        self._token = attach(set_span_in_context(self._span))
        return self._span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        detach(self._token)
        if self._span.is_recording():  # not ended yet
            self._span.end()


def link(span: Span, leader: SpanContext | None) -> None:
    """Link a request to the one whose answer it shares."""
    if leader is not None and span.is_recording():
        span.add_link(leader, {"warmfront.link": "coalesced"})


def retried(span: Span, *, replica: str | None, reason: str) -> None:
    """Tell that a request goes to another replica, and what was wrong with the last."""
    span.add_event("retry", {"warmfront.replica": replica or "", "warmfront.reason": reason})


def hedged(span: Span, *, replica: str) -> None:
    """Tell that a second replica was asked because the first one is slow."""
    span.add_event("hedge", {"warmfront.replica": replica})


def kept_alive(span: Span) -> None:
    """Tell that the client was sent a comment while there was nothing else to say."""
    span.add_event("keep-alive")


def _server(host: str) -> dict[str, AttributeValue]:
    """Return the address that the client knows the gateway by."""
    try:
        parts = urlsplit(f"//{host}")
        address, port = parts.hostname, parts.port
    except ValueError:
        return {}
    told = {"server.address": address, "server.port": port}
    return {name: _fit(value) for name, value in told.items() if value is not None}


def _asked(exchange: Exchange) -> dict[str, AttributeValue]:
    return {
        "gen_ai.request.model": exchange.ask.model,
        **exchange.ask.sampling,
        "warmfront.request_id": exchange.request_id,
        "warmfront.priority": exchange.priority.value,
        "warmfront.tenant": exchange.caller.tenant,
    }


def _answered(exchange: Exchange) -> dict[str, AttributeValue]:
    timeline = exchange.timeline
    usage, replica = timeline.usage, timeline.replica
    told = {
        "gen_ai.usage.input_tokens": None if usage is None else usage.input_tokens,
        "gen_ai.usage.output_tokens": None if usage is None else usage.output_tokens,
        "gen_ai.response.time_to_first_chunk": (
            timeline.time_to_first_token if exchange.ask.streams else None
        ),
        "warmfront.replica": exchange.replica,
        "warmfront.version": exchange.version,
        "warmfront.device_seconds": None if replica is None else replica.device,
    }
    return {name: value for name, value in told.items() if value is not None}


def _fit(value: AttributeValue) -> AttributeValue:
    """Bound what somebody else wrote; half a surrogate pair would fail a whole batch of spans."""
    if isinstance(value, str):
        return value[:_LONGEST].encode(errors="replace").decode()
    if isinstance(value, Sequence):
        return [str(_fit(str(one))) for one in value[:_MOST]]
    return value


def _end(span: Span, outcome: Outcome, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if outcome is not Outcome.ANSWERED:
        span.set_attribute("error.type", outcome.value)
    if status >= _SERVER_ERROR:
        span.set_status(Status(StatusCode.ERROR))


def _wall(timeline: Timeline, moment: float) -> int:
    """Return a moment in nanoseconds since the epoch."""
    offset = moment - timeline.received
    return int(timeline.wall * _NANOSECONDS) + int(offset * _NANOSECONDS)
