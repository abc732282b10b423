"""The completion endpoints: each request is read, answered, and accounted for."""

import asyncio
import re
from collections.abc import Callable

import structlog
from aiohttp import web
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from inference.errors import BROKEN_BODY
from inference.gateway.completion import Completion, Operation, read_completion
from inference.gateway.errors import (
    BadRequestError,
    GatewayError,
    LargeBodyError,
    SlowBodyError,
    UnknownModelError,
)
from inference.gateway.exchange import Exchange
from inference.gateway.limits import GatewayLimits
from inference.gateway.meters import Meters
from inference.gateway.proxy import Proxy
from inference.gateway.relay import identity, patience
from inference.gateway.roster import Roster
from inference.gateway.timeline import Outcome, Timeline
from telemetry.clock import Clock
from telemetry.tracing import extract, inject

_LARGE_BYTES = 2**18  # beyond it, reading takes longer than the event loop may wait
_REQUEST_ID = re.compile(r"[\w.:\-]{1,128}", re.ASCII)
_log = structlog.get_logger(__name__)


class Completions:
    """Answers requests for completions; whatever happens to one, it is counted once."""

    def __init__(
        self,
        roster: Roster,
        proxy: Proxy,
        meters: Meters,
        *,
        tracer: Tracer,
        clock: Clock,
        limits: GatewayLimits,
        new_request_id: Callable[[], str],
    ) -> None:
        self._roster = roster
        self._proxy = proxy
        self._meters = meters
        self._tracer = tracer
        self._clock = clock
        self._limits = limits
        self._new_request_id = new_request_id

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /v1/chat/completions."""
        return await self._handle(request, Operation.CHAT)

    async def text(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /v1/completions."""
        return await self._handle(request, Operation.TEXT)

    async def _handle(self, request: web.Request, operation: Operation) -> web.StreamResponse:
        timeline = Timeline(received=self._clock.monotonic())
        with self._tracer.start_as_current_span(
            operation.value,
            context=extract(request.headers),
            kind=SpanKind.SERVER,
            attributes={
                "gen_ai.operation.name": operation.value,
                "http.request.method": request.method,
                "http.route": operation.path,
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                ask = await self._read(request, operation)
            except BadRequestError as error:
                return self._refuse(error, span)
            exchange = Exchange(request, ask, self._request_id(request), timeline)
            inject(exchange.trace)
            with self._meters.in_flight(ask.model):
                return await self._account(exchange, span)

    async def _read(self, request: web.Request, operation: Operation) -> Completion:
        body = await self._body(request)
        if len(body) > _LARGE_BYTES:
            ask = await asyncio.to_thread(read_completion, operation, body)
        else:
            ask = read_completion(operation, body)
        if ask.model not in self._roster.models:
            known = ", ".join(sorted(self._roster.models)[:10]) or "none yet"
            raise UnknownModelError(
                f"Model {ask.model[:100]!r} is not known here; known models: {known}.",
                param="model",
            )
        return ask

    async def _body(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise LargeBodyError(
                f"The request is larger than {self._limits.max_body_bytes} bytes; send a shorter "
                "prompt, or raise the gateway's max_body_bytes."
            ) from error
        except TimeoutError as error:
            raise SlowBodyError(
                f"The request did not arrive in full within {self._limits.body_seconds:g} s."
            ) from error
        except web.RequestPayloadError as error:
            raise BadRequestError(BROKEN_BODY) from error

    async def _account(self, exchange: Exchange, span: Span) -> web.StreamResponse:
        """Answer the request and, however that ends, count it once."""
        self._meters.arrived(exchange.ask.model)
        try:
            return await self._answer(exchange)
        except asyncio.CancelledError:
            exchange.leave()
            raise
        except Exception:
            exchange.end(Outcome.GATEWAY_ERROR, 500)
            raise
        finally:
            exchange.timeline.flushed = self._clock.monotonic()
            self._count(exchange)
            _describe(span, exchange)

    async def _answer(self, exchange: Exchange) -> web.StreamResponse:
        response: web.StreamResponse = web.Response()
        try:
            try:
                response = await self._proxy.answer(exchange)
            except GatewayError as error:
                exchange.fail(error)
                response = error.response()
            async with patience(exchange.request, self._limits.client_seconds):
                if not response.prepared:
                    response.headers.update(identity(exchange))
                    await response.prepare(exchange.request)
                await response.write_eof()
        except ConnectionResetError:  # the client left while it was written to
            exchange.leave()
        return response

    def _count(self, exchange: Exchange) -> None:
        timeline, model = exchange.timeline, exchange.ask.model
        until = timeline.received if timeline.waited_until is None else timeline.waited_until
        self._meters.finished(
            model,
            timeline,
            exchange.outcome,
            status=exchange.status,
            was_short=self._roster.was_short(model, since=timeline.received, until=until),
        )
        _log.debug(
            "request finished",
            model=model,
            request_id=exchange.request_id,
            replica=exchange.replica,
            status=exchange.status,
            error_type=exchange.outcome.value,
            ttft=timeline.time_to_first_token,
            duration=timeline.duration,
            routed=timeline.time_to_route,
            held=timeline.held_seconds,
        )

    def _refuse(self, error: BadRequestError, span: Span) -> web.Response:
        self._meters.refused(error.status)
        span.set_attribute("http.response.status_code", error.status)
        span.set_attribute("error.type", error.outcome.value)
        return error.response()

    def _request_id(self, request: web.Request) -> str:
        """Keep the client's own id where it is a plain word, for it goes into headers and logs."""
        given = request.headers.get("X-Request-ID", "")
        return given if _REQUEST_ID.fullmatch(given) else self._new_request_id()


def _describe(span: Span, exchange: Exchange) -> None:
    """Write the request's end into its span, under the names of the GenAI conventions."""
    span.update_name(f"{exchange.ask.operation.value} {exchange.ask.model}")
    span.set_attribute("gen_ai.request.model", exchange.ask.model)
    span.set_attribute("http.response.status_code", exchange.status)
    if exchange.replica is not None:
        span.set_attribute("warmfront.replica", exchange.replica)
    if exchange.timeline.usage is not None:
        span.set_attribute("gen_ai.usage.input_tokens", exchange.timeline.usage.input_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", exchange.timeline.usage.output_tokens)
    if exchange.outcome is not Outcome.ANSWERED:
        span.set_attribute("error.type", exchange.outcome.value)
    if exchange.status >= 500:  # noqa: PLR2004 - a client's error is not the server's
        span.set_status(Status(StatusCode.ERROR))
