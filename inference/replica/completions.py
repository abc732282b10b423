"""A completion over HTTP: body -> requests -> engine -> text -> answer, whole or streamed."""

import asyncio
import json
import secrets
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace

from aiohttp import web
from opentelemetry.trace import Tracer

from inference.api import ChatRequest, CompletionRequest, GenerationRequest
from inference.engine.errors import EngineError
from inference.engine.sequence import Timings
from inference.errors import ApiError
from inference.replica import spans
from inference.replica.answer import Piece
from inference.replica.body import read_body
from inference.replica.events import DONE, HEADERS, comment, error_event, event
from inference.replica.faults import engine_faults, translated
from inference.replica.formats import ChatFormat, Head, TextFormat
from inference.replica.generation import generate
from inference.replica.job import Job, Visit
from inference.replica.metrics import Phase, ReplicaMetrics
from inference.replica.models import ServedModels
from inference.replica.prompts import Asked, Prompts
from telemetry.clock import Clock

TIMINGS_HEADER = "X-Warmfront-Timings"
_SEED_BITS = 63


def _new_id() -> str:
    return uuid.uuid4().hex


def _new_seed() -> int:
    return secrets.randbits(_SEED_BITS)


class Completions:
    """The handlers of both completion APIs, for all models that are served."""

    def __init__(
        self,
        models: ServedModels,
        metrics: ReplicaMetrics,
        *,
        tracer: Tracer,
        clock: Clock,
        is_exported: bool = True,
        new_id: Callable[[], str] = _new_id,
        new_seed: Callable[[], int] = _new_seed,
    ) -> None:
        self._models = models
        self._prompts = Prompts(models, new_id, new_seed, clock)
        self._metrics = metrics
        self._spans = spans.Spans(tracer, clock, is_exported=is_exported)
        self._clock = clock

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        with self._visited(http, spans.CHAT) as visit:
            ask = await read_body(ChatRequest, http)
            self._note_ask(visit, ask)
            asked = await self._prompts.chat(ask)
            shape = ChatFormat(*self._head(ask, asked))
            return await self._answer(Job(visit, ask, asked, shape))

    async def text(self, http: web.Request) -> web.StreamResponse:
        """Continue a text, or several."""
        with self._visited(http, spans.TEXT) as visit:
            ask = await read_body(CompletionRequest, http)
            self._note_ask(visit, ask)
            asked = await self._prompts.text(ask)
            shape = TextFormat(*self._head(ask, asked))
            return await self._answer(Job(visit, ask, asked, shape))

    @contextmanager
    def _visited(self, http: web.Request, operation: str) -> Iterator[Visit]:
        """Tell what becomes of a request, in the words of HTTP and in its span."""
        with self._spans.request(operation, http.headers) as span:
            visit = Visit(http, operation, span)
            try:
                with engine_faults():
                    yield visit
            except ApiError as error:
                spans.failed(span, error)
                raise
            except asyncio.CancelledError:
                self._note_left(visit)
                raise

    def _note_ask(self, visit: Visit, ask: GenerationRequest) -> None:
        visit.read = self._clock.now()
        with suppress(ApiError):  # said by whoever needs the model
            visit.model = self._models.find(ask.model).name
            spans.asked(visit.span, visit.operation, ask, visit.model)

    def _note_left(self, visit: Visit) -> None:
        spans.left(visit.span)
        if visit.model is not None:
            phase = Phase.AFTER if visit.has_begun else Phase.BEFORE
            self._metrics.of(visit.model).cancelled(phase)

    def _head(
        self, ask: GenerationRequest, asked: Asked
    ) -> tuple[Head, Callable[[int], bytes] | None]:
        head = Head(asked.id, asked.served.name, int(self._clock.now()))
        return head, None if ask.alternatives is None else asked.served.grammars.spell

    async def _answer(self, job: Job) -> web.StreamResponse:
        metrics = self._metrics.of(job.asked.served.name)
        job.visit.submitted = self._clock.now()
        async with generate(job.asked, job.ask.stops, metrics) as pieces:
            return await (self._stream if job.ask.stream else self._whole)(job, pieces)

    async def _whole(self, job: Job, pieces: AsyncIterator[Piece]) -> web.Response:
        choices: list[list[Piece]] = [[] for _ in range(job.asked.choices)]
        async for piece in pieces:
            job.visit.has_begun = True
            choices[piece.choice].append(piece)
            last = piece
        ends = [said[-1] for said in choices]
        timings = self._note(job, last, ends)
        return web.Response(
            text=job.shape.whole(choices, job.usage(ends)).model_dump_json(),
            content_type="application/json",
            headers={TIMINGS_HEADER: json.dumps(_told(timings))},
        )

    async def _stream(self, job: Job, pieces: AsyncGenerator[Piece, None]) -> web.StreamResponse:
        """Send events; the status waits for the first token, so that errors have their own."""
        first = await anext(pieces)
        job.visit.has_begun = True
        response = web.StreamResponse(headers=HEADERS)
        try:
            await response.prepare(job.visit.http)
            await self._send(response, job, _from(first, pieces))
        except EngineError as error:
            spans.failed(job.visit.span, translated(error))
            await response.write(error_event(translated(error)))
        except ConnectionResetError:
            self._note_left(job.visit)
        return response

    async def _send(
        self, response: web.StreamResponse, job: Job, pieces: AsyncIterator[Piece]
    ) -> None:
        openings = map(job.shape.opening, range(job.asked.choices))
        opening = b"".join(event(one) for one in openings if one)
        ends: dict[int, Piece] = {}
        async for last in pieces:
            ends[last.choice] = last
            if data := opening + _event(job, last):
                await response.write(data)
            opening = b""
        said = [ends[choice] for choice in sorted(ends)]
        timings = self._note(job, last, said)
        end = event(job.shape.usage(job.usage(said))) if job.ask.wants_usage else b""
        if job.visit.http.headers.get(TIMINGS_HEADER) == "1":
            end += comment("timings", _told(timings))
        await response.write(end + DONE)
        await response.write_eof()

    def _note(self, job: Job, last: Piece, ends: Sequence[Piece]) -> Timings:
        """Record the stages of an answered request, and return them."""
        visit, timings = job.visit, replace(last.timings, encode=job.asked.encode_seconds)
        self._metrics.of(job.asked.served.name).answered(timings)
        if visit.span.is_recording():
            spans.answered(visit.span, timings, job.told(ends))
            self._spans.tell_stages(
                visit.span, timings, read=visit.read, submitted=visit.submitted
            )
        return timings


async def _from(first: Piece, rest: AsyncIterator[Piece]) -> AsyncGenerator[Piece, None]:
    yield first
    async for piece in rest:
        yield piece


def _event(job: Job, piece: Piece) -> bytes:
    """Return the event of a piece; none where it has neither text nor an end."""
    if not piece.text and piece.finish is None:
        return b""
    return event(job.shape.piece(piece))


def _told(timings: Timings) -> dict[str, float]:
    return {"ttft": timings.time_to_first_token, **asdict(timings)}
