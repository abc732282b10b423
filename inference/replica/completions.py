"""A completion over HTTP: body -> requests -> engine -> text -> answer, whole or streamed."""

import asyncio
import json
import secrets
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TypeVar

from aiohttp import web
from opentelemetry.trace import Span, SpanKind, Tracer

from inference.answers import PromptTokens, Usage
from inference.api import ChatRequest, CompletionRequest, GenerationRequest, parse_body
from inference.engine.errors import EngineError
from inference.engine.sequence import Timings
from inference.replica.answer import Piece
from inference.replica.events import DONE, HEADERS, error_event, event
from inference.replica.faults import engine_faults, translated
from inference.replica.formats import ChatFormat, Format, Head, TextFormat
from inference.replica.generation import generate
from inference.replica.metrics import ReplicaMetrics
from inference.replica.models import ServedModels
from inference.replica.prompts import Asked, Prompts
from telemetry.clock import Clock
from telemetry.tracing import extract

TIMINGS_HEADER = "X-Warmfront-Timings"
_SEED_BITS = 63
_LARGE_BYTES = 2**18  # beyond it, parsing takes longer than the event loop may wait

_Ask = TypeVar("_Ask", bound=GenerationRequest)


def _new_id() -> str:
    return uuid.uuid4().hex


def _new_seed() -> int:
    return secrets.randbits(_SEED_BITS)


@dataclass(frozen=True, slots=True)
class _Job:
    """One request on its way to its answer."""

    http: web.Request
    ask: GenerationRequest
    asked: Asked
    shape: Format
    span: Span

    def usage(self, ends: Sequence[Piece]) -> Usage:
        """Return the token counts of the whole answer, from the last piece of each choice."""
        prompt, tokens = self.asked.prompt_tokens, _tokens(ends)
        # The choices of one prompt find it in the cache once the first has computed it.
        cached, each = [piece.cached for piece in ends], self.ask.choices
        found = [min(cached[at : at + each]) for at in range(0, len(cached), each)]
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=tokens,
            total_tokens=prompt + tokens,
            prompt_tokens_details=PromptTokens(cached_tokens=sum(found)),
        )


class Completions:
    """The handlers of both completion APIs, for all models that are served."""

    def __init__(
        self,
        models: ServedModels,
        metrics: ReplicaMetrics,
        *,
        tracer: Tracer,
        clock: Clock,
        new_id: Callable[[], str] = _new_id,
        new_seed: Callable[[], int] = _new_seed,
    ) -> None:
        self._prompts = Prompts(models, new_id, new_seed)
        self._metrics = metrics
        self._tracer = tracer
        self._clock = clock

    async def chat(self, http: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        ask = await _parsed(ChatRequest, http)
        with engine_faults():
            asked = await self._prompts.chat(ask)
        return await self._answer(http, ask, asked, ChatFormat(*self._head(ask, asked)))

    async def text(self, http: web.Request) -> web.StreamResponse:
        """Continue a text, or several."""
        ask = await _parsed(CompletionRequest, http)
        asked = await self._prompts.text(ask)
        return await self._answer(http, ask, asked, TextFormat(*self._head(ask, asked)))

    def _head(
        self, ask: GenerationRequest, asked: Asked
    ) -> tuple[Head, Callable[[int], bytes] | None]:
        head = Head(asked.id, asked.served.name, int(self._clock.now()))
        return head, None if ask.alternatives is None else asked.served.grammars.spell

    async def _answer(
        self, http: web.Request, ask: GenerationRequest, asked: Asked, shape: Format
    ) -> web.StreamResponse:
        with self._span(http, asked) as span, engine_faults():
            job = _Job(http, ask, asked, shape, span)
            async with generate(asked, ask.stops) as pieces:
                return await (self._stream if ask.stream else self._whole)(job, pieces)

    async def _whole(self, job: _Job, pieces: AsyncIterator[Piece]) -> web.Response:
        choices: list[list[Piece]] = [[] for _ in range(job.asked.choices)]
        async for piece in pieces:
            choices[piece.choice].append(piece)
            last = piece
        ends = [said[-1] for said in choices]
        self._note(job, last, ends)
        return web.Response(
            text=job.shape.whole(choices, job.usage(ends)).model_dump_json(),
            content_type="application/json",
            headers={TIMINGS_HEADER: json.dumps(_timings(last.timings))},
        )

    async def _stream(self, job: _Job, pieces: AsyncGenerator[Piece, None]) -> web.StreamResponse:
        """Send events; the status waits for the first token, so that errors have their own."""
        first = await anext(pieces)
        response = web.StreamResponse(headers=HEADERS)
        try:
            await response.prepare(job.http)
            await self._send(response, job, _from(first, pieces))
        except EngineError as error:
            await response.write(error_event(translated(error)))
        except ConnectionResetError:
            job.span.add_event("client disconnected")
        return response

    async def _send(
        self, response: web.StreamResponse, job: _Job, pieces: AsyncIterator[Piece]
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
        self._note(job, last, said)
        usage = event(job.shape.usage(job.usage(said))) if job.ask.wants_usage else b""
        await response.write(usage + DONE)
        await response.write_eof()

    def _note(self, job: _Job, last: Piece, ends: Sequence[Piece]) -> None:
        """Record the stages of an answered request."""
        self._metrics.of(job.asked.served.name).answered(last.timings)
        job.span.set_attribute("gen_ai.usage.output_tokens", _tokens(ends))
        reasons = [str(piece.finish) for piece in ends]
        job.span.set_attribute("gen_ai.response.finish_reasons", reasons)
        for stage, seconds in asdict(last.timings).items():
            job.span.set_attribute(f"warmfront.{stage}_seconds", seconds)

    @contextmanager
    def _span(self, http: web.Request, asked: Asked) -> Iterator[Span]:
        attributes: dict[str, str | int] = {
            "gen_ai.request.model": asked.served.name,
            "gen_ai.request.choice.count": asked.choices,
            "gen_ai.response.id": asked.id,
            "gen_ai.usage.input_tokens": asked.prompt_tokens,
        }
        with self._tracer.start_as_current_span(
            f"generate {asked.served.name}",
            context=extract(http.headers),
            kind=SpanKind.SERVER,
            attributes=attributes,
        ) as span:
            yield span


async def _parsed(kind: type[_Ask], http: web.Request) -> _Ask:
    body = await http.read()
    if len(body) > _LARGE_BYTES:
        return await asyncio.to_thread(parse_body, kind, body)
    return parse_body(kind, body)


async def _from(first: Piece, rest: AsyncIterator[Piece]) -> AsyncGenerator[Piece, None]:
    yield first
    async for piece in rest:
        yield piece


def _tokens(ends: Sequence[Piece]) -> int:
    return sum(piece.tokens for piece in ends)


def _event(job: _Job, piece: Piece) -> bytes:
    """Return the event of a piece; none where it has neither text nor an end."""
    if not piece.text and piece.finish is None:
        return b""
    return event(job.shape.piece(piece))


def _timings(timings: Timings) -> dict[str, float]:
    return {"ttft": timings.time_to_first_token, **asdict(timings)}
