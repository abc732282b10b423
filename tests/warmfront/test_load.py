"""The load generator keeps its appointments and takes down what became of each request."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from telemetry.clock import SystemClock
from warmfront.listening import listen, serving_pages, url_of
from warmfront.load import Outcome, Schedule, run


def _event(**fields: object) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


CONTENT = _event(choices=[{"delta": {"content": "warm"}}])
USAGE = _event(choices=[], usage={"completion_tokens": 3})


@asynccontextmanager
async def upstream(answer: Callable[[web.Request], object]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    with listen("127.0.0.1", 0, name="console") as listener:
        async with serving_pages(app, listener):
            yield url_of(listener)


async def _outcomes(answer: Callable[[web.Request], object], *due: float) -> list[Outcome]:
    clock = SystemClock()
    async with upstream(answer) as url:
        schedule = Schedule(url, "tiny", clock.now() + 0.1, due, ["one", "two"], 8)
        return await run(schedule, clock=clock, progress=lambda _: None)


async def _stream(request: web.Request, *events: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in events:
        await response.write(event)
    return response


async def test_a_slow_answer_does_not_delay_the_requests_after_it():
    waiting = asyncio.Barrier(3)

    async def answer(request: web.Request) -> web.StreamResponse:
        await waiting.wait()  # answers come only once all three requests are there
        return await _stream(request, CONTENT, USAGE, b"data: [DONE]\n\n")

    outcomes = await _outcomes(answer, 0.0, 0.05, 0.1)

    assert [one.due for one in outcomes] == [0.0, 0.05, 0.1]
    assert all(one.is_good and one.output_tokens == 3 and one.ttft for one in outcomes)


async def test_prompts_are_used_in_turn():
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        asked.append(body["messages"][0]["content"])
        return await _stream(request, CONTENT)

    await _outcomes(answer, 0.0, 0.05, 0.1)

    assert asked == ["one", "two", "one"]


async def test_a_refusal_is_an_outcome_with_its_status_and_no_first_token():
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "no replica"}}, status=503)

    (outcome,) = await _outcomes(answer, 0.0)

    assert (outcome.status, outcome.ttft, outcome.is_good) == (503, None, False)


async def test_an_error_within_a_stream_is_not_a_good_answer():
    async def answer(request: web.Request) -> web.StreamResponse:
        return await _stream(request, CONTENT, _event(error={"message": "replica lost"}))

    (outcome,) = await _outcomes(answer, 0.0)

    assert (outcome.error, outcome.is_good) == ("replica lost", False)


async def test_nobody_listening_is_an_outcome_too():
    clock = SystemClock()
    with listen("127.0.0.1", 0, name="console") as listener:
        url = url_of(listener)
    schedule = Schedule(url, "tiny", clock.now(), [0.0], ["one"], 8)

    (outcome,) = await run(schedule, clock=clock, progress=lambda _: None)

    assert outcome.status == 0
    assert outcome.error == "ClientConnectorError"
