"""Every answer and every piece of a stream is what OpenAI's published schema says it is."""

import json
from itertools import product

import aiohttp
import jsonschema
import pytest
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.contracts.openai.schema import check

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "ab"}], "max_tokens": 5}
TEXT = {"model": "tiny", "prompt": "ab", "max_tokens": 5}
WISHES = [
    pytest.param({}, id="nothing"),
    pytest.param({"n": 2, "seed": 1, "temperature": 1.0}, id="n"),
    pytest.param({"stop": [*"abcdefgh", "zz"], "max_tokens": 60}, id="stop"),
    pytest.param({"ignore_eos": True, "max_tokens": 12}, id="full length"),
    pytest.param({"user": "me", "service_tier": "flex", "metadata": {"a": "b"}}, id="who"),
]
LOGPROBS = {
    "/chat/completions": ({}, {"logprobs": True}, {"logprobs": True, "top_logprobs": 2}),
    "/completions": ({}, {"logprobs": 0}, {"logprobs": 2}),
}
KINDS = {
    "/chat/completions": (CHAT, ChatCompletion, ChatCompletionChunk),
    "/completions": (TEXT, Completion, Completion),
}


async def post(url, body):
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        return response.status, response.content_type, await response.read()


async def whole(url, body):
    status, kind, raw = await post(url, body)
    assert (status, kind) == (200, "application/json"), raw
    return json.loads(raw)


async def streamed(url, body):
    status, kind, raw = await post(url, body | {"stream": True})
    assert (status, kind) == (200, "text/event-stream"), raw
    events = raw.split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    return [json.loads(one.removeprefix(b"data: ")) for one in events[:-2]]


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("wishes", WISHES)
async def test_an_answer_is_as_published(gateway, path, wishes):
    ask, kind, _ = KINDS[path]
    for logprobs in LOGPROBS[path]:
        check(kind, await whole(gateway.url + path, ask | wishes | logprobs))


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("wishes", WISHES)
async def test_each_piece_of_a_stream_is_as_published(gateway, path, wishes):
    ask, _, kind = KINDS[path]
    for logprobs, usage in product(LOGPROBS[path], (True, False)):
        options = {"stream_options": {"include_usage": usage}}
        pieces = await streamed(gateway.url + path, ask | wishes | logprobs | options)
        for piece in pieces:
            check(kind, _ended(piece) if kind is Completion else piece)

        assert [bool(one["choices"]) for one in pieces[:-1]] == [True] * (len(pieces) - 1)
        assert bool(pieces[-1]["choices"]) is not usage
        assert [bool(one["usage"]) for one in pieces] == [False] * (len(pieces) - 1) + [usage]
        assert len({(one["id"], one["created"], one["model"]) for one in pieces}) == 1
        ends = [one["finish_reason"] for piece in pieces for one in piece["choices"]]
        assert len([*filter(None, ends)]) == wishes.get("n", 1)


async def test_vectors_are_as_published(gateway):
    for given in ("a text", ["a text", "another"], [5, 6], [[5, 6], [7]]):
        ask = {"model": "texts", "input": given, "encoding_format": "float"}
        check(CreateEmbeddingResponse, await whole(f"{gateway.url}/embeddings", ask))


async def test_models_are_as_published(gateway):
    async with aiohttp.ClientSession() as http:
        listed = await (await http.get(f"{gateway.url}/models")).json()
        one = await (await http.get(f"{gateway.url}/models/tiny")).json()

    assert listed["object"] == "list"
    assert {"texts", "tiny"} <= {model["id"] for model in listed["data"]}
    for model in (*listed["data"], one):
        check(Model, model)


def test_what_is_not_published_is_noticed():
    whole = {"id": "tiny", "object": "model", "created": 1, "owned_by": "us"}
    check(Model, whole)
    for other in ({"created": "1"}, {"object": "list"}, {"more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            check(Model, whole | other)


def _ended(piece):
    """Read a piece as the end it leads to: the schema has whole texts only, without nulls."""
    choices = [one | {"finish_reason": one["finish_reason"] or "stop"} for one in piece["choices"]]
    return piece | {"choices": choices}
