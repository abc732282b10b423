import asyncio
import socket

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from inference.gateway.rollout.evidence import ProbeRound
from inference.gateway.rollout.probes import AskFailedError, HttpAsk, ask_round
from tests.inference.gateway.rollout.conftest import PROBES, plan_of, record_of

PLAN = plan_of(probes=PROBES)


async def test_both_versions_are_asked_the_same():
    asked = []

    async def ask(record, body):
        asked.append((record.id, body["prompt"]))
        return "4"

    told = await ask_round(PLAN, record_of("r1", "v1"), record_of("r2", "v2"), ask)

    assert told == ProbeRound((True, True), (True, True))
    assert sorted(asked) == [
        ("r1", "2+2="), ("r1", "Hello"), ("r2", "2+2="), ("r2", "Hello"),
    ]  # fmt: skip


async def test_a_wrong_answer_fails_and_no_answer_is_none():
    async def ask(record, body):
        if record.id == "r2" and body["prompt"] == "Hello":
            raise AskFailedError("status 500")
        return "5"

    told = await ask_round(PLAN, None, record_of("r2", "v2"), ask)

    assert told == ProbeRound((None, None), (False, None))


@pytest.fixture
async def replica():
    """A replica over a real socket, and what it is to answer."""
    answers, asked = [], []

    async def handle(request):
        asked.append((request.path, await request.json()))
        answer = answers.pop()
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            return web.Response()
        return answer

    app = web.Application()
    app.router.add_post("/v1/{path:.*}", handle)
    async with TestServer(app) as server:
        yield record_of("r1", "v1", port=server.port), answers, asked


def text(**choice):
    return web.json_response({"choices": [choice]})


async def test_answers_come_over_http(replica):
    record, answers, asked = replica
    answers += [text(text="four"), text(message={"content": "4"})]
    async with HttpAsk(deadline_seconds=5.0) as ask:
        assert await ask(record, {"messages": []}) == "4"
        assert await ask(record, {"prompt": "2+2"}) == "four"

    assert asked == [
        ("/v1/chat/completions", {"messages": []}), ("/v1/completions", {"prompt": "2+2"}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda: web.json_response({}, status=503), id="refused"),
        pytest.param(lambda: web.Response(text="hello"), id="no JSON"),
        pytest.param(lambda: web.json_response([]), id="no completion"),
        pytest.param(lambda: text(message=None), id="no message"),
        pytest.param(lambda: text(message={"content": None}), id="no text"),
        pytest.param(lambda: 30.0, id="too late"),
    ],
)
async def test_what_is_no_answer_says_so(replica, answer):
    record, answers, _ = replica
    answers.append(answer())
    async with HttpAsk(deadline_seconds=0.2) as ask:
        with pytest.raises(AskFailedError):
            await ask(record, {"prompt": "2+2"})


async def test_a_replica_that_is_gone_gives_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with HttpAsk(deadline_seconds=5.0) as ask:
        with pytest.raises(AskFailedError):
            await ask(record_of("r1", "v1", port=port), {"prompt": "x"})
