"""A completion over HTTP: body -> request -> engine -> text -> answer, whole or streamed."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass

from aiohttp import web
from opentelemetry.trace import Span, SpanKind, Tracer

from inference.api import (
    ChatRequest,
    CompletionRequest,
    GenerationRequest,
    Usage,
    parse_body,
)
from inference.engine.engine import EngineStats
from inference.engine.errors import EngineBusyError, EngineStoppedError, PromptTooLongError
from inference.engine.sequence import Request, Timings
from inference.errors import ApiError
from inference.models.tokenizer import StreamDecoder
from inference.replica.answer import Piece, StopStrings, pieces_of
from inference.replica.events import DONE, HEADERS, error_event, event
from inference.replica.formats import ChatFormat, Format, TextFormat
from inference.replica.metrics import ReplicaMetrics
from inference.replica.prompts import Prompts
from telemetry.clock import Clock
from telemetry.tracing import extract

TIMINGS_HEADER = "X-Warmfront-Timings"
STOPPED = "replica_stopped"


@dataclass(frozen=True, slots=True)
class _Job:
    """One request on its way to its answer."""

    http: web.Request
    ask: GenerationRequest
    request: Request
    shape: Format
    span: Span

    def usage(self, last: Piece) -> Usage:
        """Return the token counts of the whole answer."""
        prompt = len(self.request.prompt)
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=last.tokens,
            total_tokens=prompt + last.tokens,
        )


class Completions:
    """The handlers of both completion APIs, for one loaded model."""

    def __init__(
        self, prompts: Prompts, metrics: ReplicaMetrics, *, tracer: Tracer, clock: Clock
    ) -> None:
        self._prompts = prompts
        self._served = prompts.served
        self._metrics = metrics
        self._tracer = tracer
        self._clock = clock

    def stats(self) -> EngineStats:
        """Return where the engine stands."""
        return self._served.engine.stats()

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        ask = parse_body(ChatRequest, await http.read())
        request = await asyncio.to_thread(self._prompts.chat, ask)
        return await self._answer(http, ask, request, ChatFormat(*self._head(request)))

    async def text(self, http: web.Request) -> web.StreamResponse:
        """Continue a text."""
        ask = parse_body(CompletionRequest, await http.read())
        request = await asyncio.to_thread(self._prompts.text, ask)
        return await self._answer(http, ask, request, TextFormat(*self._head(request)))

    def _head(self, request: Request) -> tuple[str, str, int]:
        return request.id, self._served.name, int(self._clock.now())

    async def _answer(
        self, http: web.Request, ask: GenerationRequest, request: Request, shape: Format
    ) -> web.StreamResponse:
        with self._span(http, request) as span, _engine_faults():
            job = _Job(http, ask, request, shape, span)
            async with self._pieces(job) as pieces:
                if ask.stream:
                    return await self._stream(job, pieces)
                return await self._whole(job, pieces)

    @asynccontextmanager
    async def _pieces(self, job: _Job) -> AsyncIterator[AsyncGenerator[Piece, None]]:
        """Submit the request; leaving early, for whatever reason, cancels it."""
        decoder, stops = StreamDecoder(self._served.tokenizer), StopStrings(job.ask.stops)
        async with (
            aclosing(self._served.engine.submit(job.request)) as tokens,
            aclosing(pieces_of(tokens, decoder, stops)) as pieces,
        ):
            yield pieces

    async def _whole(self, job: _Job, pieces: AsyncIterator[Piece]) -> web.Response:
        said = [piece async for piece in pieces]
        last = said[-1]
        self._note(job, last)
        text = "".join(piece.text for piece in said)
        answer = job.shape.whole(text, str(last.finish), job.usage(last))
        return web.Response(
            text=answer.model_dump_json(),
            content_type="application/json",
            headers={TIMINGS_HEADER: json.dumps(_timings(last.timings))},
        )

    async def _stream(self, job: _Job, pieces: AsyncIterator[Piece]) -> web.StreamResponse:
        """Send events; the status waits for the first token, so that errors have their own."""
        first = await anext(pieces)
        response = web.StreamResponse(headers=HEADERS)
        try:
            await response.prepare(job.http)
            await self._send(response, job, first, pieces)
        except EngineStoppedError as error:
            await response.write(error_event(_stopped(error), code=STOPPED))
        except ConnectionResetError:
            job.span.add_event("client disconnected")
        return response

    async def _send(
        self,
        response: web.StreamResponse,
        job: _Job,
        first: Piece,
        pieces: AsyncIterator[Piece],
    ) -> None:
        opening = job.shape.opening()
        await response.write((event(opening) if opening else b"") + _event(job, first))
        last = first
        async for last in pieces:
            if data := _event(job, last):
                await response.write(data)
        self._note(job, last)
        usage = event(job.shape.usage(job.usage(last))) if job.ask.wants_usage else b""
        await response.write(usage + DONE)
        await response.write_eof()

    def _note(self, job: _Job, last: Piece) -> None:
        """Record the stages of an answered request."""
        self._metrics.answered(last.timings)
        job.span.set_attribute("gen_ai.usage.output_tokens", last.tokens)
        job.span.set_attribute("gen_ai.response.finish_reasons", [str(last.finish)])
        for stage, seconds in asdict(last.timings).items():
            job.span.set_attribute(f"warmfront.{stage}_seconds", seconds)

    @contextmanager
    def _span(self, http: web.Request, request: Request) -> Iterator[Span]:
        attributes: dict[str, str | int] = {
            "gen_ai.request.model": self._served.name,
            "gen_ai.response.id": request.id,
            "gen_ai.usage.input_tokens": len(request.prompt),
        }
        with self._tracer.start_as_current_span(
            f"generate {self._served.name}",
            context=extract(http.headers),
            kind=SpanKind.SERVER,
            attributes=attributes,
        ) as span:
            yield span


@contextmanager
def _engine_faults() -> Iterator[None]:
    """Translate what the engine refuses into HTTP."""
    try:
        yield
    except PromptTooLongError as error:
        raise ApiError(400, str(error), code="context_length_exceeded") from error
    except EngineBusyError as error:
        raise ApiError(
            429,
            f"The replica is full: {error}; retry in a moment.",
            kind="rate_limit_error",
            code="queue_full",
            retry_after=1,
        ) from error
    except EngineStoppedError as error:
        raise ApiError(
            503, _stopped(error), kind="server_error", code=STOPPED, retry_after=1
        ) from error


def _stopped(error: EngineStoppedError) -> str:
    return f"The replica cannot finish the answer: {error}."


def _event(job: _Job, piece: Piece) -> bytes:
    """Return the event of a piece; none where it has neither text nor an end."""
    if not piece.text and piece.finish is None:
        return b""
    return event(job.shape.piece(piece.text, piece.finish))


def _timings(timings: Timings) -> dict[str, float]:
    return {"ttft": timings.time_to_first_token, **asdict(timings)}
