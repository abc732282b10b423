"""The completion endpoints: each request is taken in, answered, and accounted for."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from aiohttp import web
from opentelemetry.trace import Span

from inference.gateway.answering import Answering
from inference.gateway.client import Client
from inference.gateway.completion import Operation
from inference.gateway.drain import Drain
from inference.gateway.errors import BadRequestError
from inference.gateway.exchange import Exchange
from inference.gateway.intake import Intake
from inference.gateway.keepalive import KeepAlive
from inference.gateway.meters import Meters
from inference.gateway.routing.roster import Roster
from inference.gateway.spans import Spans, kept_alive
from inference.gateway.timeline import Outcome, Timeline
from telemetry.clock import Clock
from telemetry.tracing import inject

_log = structlog.get_logger(__name__)


class Completions:
    """Answers requests for completions; whatever happens to one, it is counted once."""

    def __init__(
        self,
        intake: Intake,
        answering: Answering,
        meters: Meters,
        spans: Spans,
        *,
        roster: Roster,
        drain: Drain,
        keepalive: KeepAlive,
        clock: Clock,
    ) -> None:
        self._intake = intake
        self._answering = answering
        self._meters = meters
        self._spans = spans
        self._roster = roster
        self._drain = drain
        self._keepalive = keepalive
        self._clock = clock

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """Answer POST /v1/chat/completions."""
        return await self._handle(http, Operation.CHAT)

    async def text(self, http: web.Request) -> web.StreamResponse:
        """Answer POST /v1/completions."""
        return await self._handle(http, Operation.TEXT)

    async def embeddings(self, http: web.Request) -> web.StreamResponse:
        """Answer POST /v1/embeddings."""
        return await self._handle(http, Operation.EMBEDDINGS)

    async def _handle(self, http: web.Request, operation: Operation) -> web.StreamResponse:
        timeline = Timeline(received=self._clock.monotonic(), wall=self._clock.now())
        request_id = self._intake.request_id(http)
        with self._spans.request(operation, http.headers, timeline) as span:
            try:
                exchange = await self._intake.take(
                    http, operation, timeline, request_id=request_id
                )
            except BadRequestError as error:
                return self._refuse(error, span, request_id)
            inject(exchange.trace)
            with self._meters.in_flight(exchange.ask.model), self._drain.in_flight():
                return await self._account(http, exchange, span)

    async def _account(
        self, http: web.Request, exchange: Exchange, span: Span
    ) -> web.StreamResponse:
        """Answer the request and, however that ends, count it once."""
        self._meters.arrived(exchange.ask.model, exchange.priority)
        client = self._client(http, exchange, span)
        try:
            with self._looked_after(client, exchange, span):
                await self._answering.answer(exchange, client, http.headers)
        except ConnectionResetError:  # the client left while it was written to
            exchange.leave()
        except asyncio.CancelledError:
            exchange.leave()
            raise
        except Exception:
            exchange.end(Outcome.GATEWAY_ERROR, 500)
            raise
        finally:
            exchange.timeline.flushed = self._clock.monotonic()
            self._count(exchange, span)
        return client.response

    def _client(self, http: web.Request, exchange: Exchange, span: Span) -> Client:
        return Client(
            http,
            exchange,
            now=self._clock.monotonic,
            gap=self._meters.gaps(exchange.ask.model, self._spans.exemplar(span)),
        )

    @contextmanager
    def _looked_after(self, client: Client, exchange: Exchange, span: Span) -> Iterator[None]:
        def told() -> None:
            self._meters.kept_alive(exchange.ask.model)
            kept_alive(span)

        with self._keepalive.watching(client, told):
            yield

    def _count(self, exchange: Exchange, span: Span) -> None:
        timeline, model = exchange.timeline, exchange.ask.model
        until = timeline.received if timeline.waited_until is None else timeline.waited_until
        was_short = self._roster.was_short(model, since=timeline.received, until=until)
        exemplar = self._spans.exemplar(span)
        self._meters.finished(exchange, was_short=was_short, exemplar=exemplar)
        self._spans.finish(span, exchange, was_short=was_short)
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

    def _refuse(self, error: BadRequestError, span: Span, request_id: str) -> web.Response:
        self._meters.refused(error.status)
        self._spans.refused(span, error.status, error.outcome)
        response = error.response()
        response.headers["X-Request-ID"] = request_id
        return response
