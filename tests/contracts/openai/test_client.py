"""What OpenAI's own client makes of the gateway: retries, raw answers, vectors, errors."""

import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import openai
import pytest
from pydantic import BaseModel

from inference.gateway.admission.settings import AdmissionSettings
from inference.gateway.coalescing.settings import CoalescingSettings
from inference.gateway.limits import GatewayLimits
from inference.gateway.settings import GatewaySettings
from inference.gateway.tenancy.caller import Scope
from inference.gateway.tenancy.key_file import KeyFile, StoredKey, hash_of
from inference.gateway.tenancy.secret import new_secret
from inference.gateway.tenancy.settings import TenancySettings
from telemetry.process_table import ProcessTable
from tests.inference.conftest import byte_tokenizer
from tests.inference.graphs import expected_vector

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def content(of_user):
    return [{"role": "user", "content": of_user}]


def refusal(message, *, code=None):
    return openai.BadRequestError, code, message


MESSAGES = content("hi")
CHAT = {"model": "tiny", "messages": MESSAGES, "max_tokens": 4}


@pytest.fixture
async def connect() -> AsyncIterator:
    """Makes clients of a gateway; they try once unless told otherwise."""
    async with AsyncExitStack() as stack:

        async def connect(gateway, *, key="none", **options) -> openai.AsyncOpenAI:
            options = {"max_retries": 0} | options
            client = openai.AsyncOpenAI(base_url=gateway.url, api_key=key, **options)
            return await stack.enter_async_context(client)

        yield connect


@pytest.fixture
async def client(gateway, connect) -> openai.AsyncOpenAI:
    return await connect(gateway)


@pytest.fixture
def make_key(tmp_path):
    """Adds a key to the key file and returns it."""

    def make(**fields) -> str:
        secret = new_secret()
        with KeyFile(tmp_path / "keys.json").editing() as keys:
            now = datetime.now(UTC)
            keys.append(
                StoredKey(
                    id=f"k{len(keys)}", name="acme", hash=hash_of(secret), created=now, **fields
                )
            )
        return secret

    return make


async def test_a_key_that_is_not_known_is_no_authentication(
    start_gateway, connect, make_key, tmp_path
):
    make_key()
    client = await connect(await start_gateway(key_file=tmp_path / "keys.json"))
    with pytest.raises(openai.AuthenticationError, match="not known here") as caught:
        await client.chat.completions.create(**CHAT)
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(openai.AuthenticationError):
        await client.models.list()


async def test_a_key_without_the_scope_is_no_permission(
    start_gateway, connect, make_key, tmp_path
):
    key = make_key(scopes=frozenset({Scope.ADMIN}))
    client = await connect(await start_gateway(key_file=tmp_path / "keys.json"), key=key)
    with pytest.raises(openai.PermissionDeniedError, match="'inference'") as caught:
        await client.chat.completions.create(**CHAT)
    assert caught.value.code == "insufficient_scope"


async def test_what_is_over_the_quota_is_a_rate_limit(start_gateway, connect, make_key, tmp_path):
    key = make_key(requests_per_minute=1)
    client = await connect(await start_gateway(key_file=tmp_path / "keys.json"), key=key)
    await client.chat.completions.create(**CHAT)
    with pytest.raises(openai.RateLimitError, match="1 requests per minute") as caught:
        await client.chat.completions.create(**CHAT)

    told = caught.value.response.headers
    assert caught.value.code == "rate_limit_exceeded"
    assert 0 < int(told["retry-after-ms"]) <= 60_000
    assert int(told["retry-after"]) * 1000 >= int(told["retry-after-ms"])
    assert told["x-ratelimit-limit-requests"] == "1"
    assert told["x-ratelimit-remaining-requests"] == "0"


async def test_a_rate_limit_is_waited_out_for_as_long_as_is_told(
    start_gateway, connect, make_key, tmp_path
):
    """On its own the client waits for half a second at most, and would be refused once more."""
    key = make_key(requests_per_minute=50)
    gateway = await start_gateway(
        key_file=tmp_path / "keys.json",
        settings=GatewaySettings(tenancy=TenancySettings(burst_seconds=0.1)),
    )
    client = await connect(gateway, key=key, max_retries=1)
    for _ in range(2):
        await client.chat.completions.create(**CHAT)

    answers = {status: n for (path, status), n in gateway.answers.items()}
    assert answers == {200: 2, 429: 1}


UNKNOWN = openai.NotFoundError, "model_not_found", "known models"


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        pytest.param({"model": "gpt-9"}, UNKNOWN, id="model"),
        pytest.param({"temperature": 9}, refusal("temperature"), id="value"),
        pytest.param({"messages": content("a" * 999)},
                     refusal("256", code="context_length_exceeded"), id="length"),
        pytest.param({"messages": content([PICTURE])}, refusal("takes no images"), id="image"),
        pytest.param({"tools": [{"type": "function", "function": {"name": "f"}}]},
                     refusal("tools", code="unsupported_parameter"), id="tools"),
        pytest.param({"model": "texts"}, refusal("texts"), id="no chat"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
async def test_what_cannot_be_done_is_told_before_an_answer_begins(
    client, wish, expected, streams
):
    error, code, message = expected
    with pytest.raises(error, match=message) as caught:
        await client.chat.completions.create(**CHAT | wish | {"stream": streams})

    assert caught.value.code == code
    assert caught.value.type == "invalid_request_error"


async def test_a_key_of_another_request_cannot_be_processed(start_gateway, connect):
    coalescing = CoalescingSettings(cache_seconds=60)
    client = await connect(await start_gateway(settings=GatewaySettings(coalescing=coalescing)))
    headers = {"Idempotency-Key": "order-7"}
    await client.chat.completions.create(**CHAT, extra_headers=headers)
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        await client.chat.completions.create(**CHAT | {"max_tokens": 5}, extra_headers=headers)
    assert caught.value.code == "idempotency_key_reused"


async def test_what_is_too_large_is_told(start_gateway, connect):
    limits = GatewayLimits(max_body_bytes=1000)
    client = await connect(await start_gateway(settings=GatewaySettings(limits=limits)))
    with pytest.raises(openai.APIStatusError, match="larger than 1000 bytes") as caught:
        await client.chat.completions.create(**CHAT, user="a" * 1000)
    assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")


async def test_without_a_replica_it_is_the_servers_error(start_gateway, connect, tmp_path):
    settings = GatewaySettings(admission=AdmissionSettings(hold_seconds=0))
    nobody = await start_gateway(source=ProcessTable(tmp_path / "none"), settings=settings)
    client = await connect(nobody)
    with pytest.raises(openai.InternalServerError, match="No replica of model 'tiny'") as caught:
        await client.chat.completions.create(**CHAT)
    assert (caught.value.status_code, caught.value.code) == (503, "no_replica")
    assert int(caught.value.response.headers["retry-after-ms"]) > 0


async def test_a_raw_answer_is_a_stream_with_headers(start_gateway, connect, make_key, tmp_path):
    key = make_key(requests_per_minute=60, tokens_per_minute=6000)
    client = await connect(await start_gateway(key_file=tmp_path / "keys.json"), key=key)
    raw = await client.chat.completions.with_raw_response.create(
        **CHAT, stream=True, extra_headers={"X-Request-ID": "mine-7"}
    )
    chunks = [chunk async for chunk in raw.parse()]

    assert chunks[-1].choices[0].finish_reason in {"length", "stop"}
    assert raw.http_response.is_stream_consumed
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert raw.headers["x-request-id"] == raw.request_id == "mine-7"
    assert raw.headers["x-warmfront-replica"] == "r1"
    assert raw.headers["x-ratelimit-remaining-requests"] == "59"
    assert raw.headers["x-ratelimit-limit-tokens"] == "6000"


async def test_lines_of_a_raw_stream_come_while_it_goes_on(client):
    async with client.chat.completions.with_streaming_response.create(
        **CHAT, stream=True, extra_headers={"X-Warmfront-Timings": "1"}
    ) as raw:
        lines = [line async for line in raw.iter_lines() if line]

    assert lines[-1] == "data: [DONE]"
    assert lines[-2].startswith(': timings {"ttft":')
    assert all(line.startswith("data: {") for line in lines[:-2])


async def test_an_answer_knows_its_request(client):
    answer = await client.chat.completions.create(**CHAT, extra_headers={"X-Request-ID": "mine"})
    assert answer._request_id == "mine"


class Light(BaseModel):
    colour: Literal["red", "green"]
    is_on: bool


VOCABULARY = byte_tokenizer()
# Else JSON may go on for ever.
NO_BLANKS = {str(VOCABULARY.encode(blank).ids[-1]): -100 for blank in " \t\r\n"}
LIGHT = {
    "model": "tiny", "messages": MESSAGES, "max_tokens": 60, "response_format": Light,
    "logit_bias": NO_BLANKS,
}  # fmt: skip


async def test_it_parses_an_answer_into_a_type_of_the_callers(client):
    answer = await client.chat.completions.parse(**LIGHT, seed=3)

    assert isinstance(answer.choices[0].message.parsed, Light)


async def test_it_gathers_a_stream_into_the_answer_that_it_would_have_been(client):
    ask = LIGHT | {"seed": 5, "n": 2, "logprobs": True}
    async with client.chat.completions.stream(
        **ask, stream_options={"include_usage": True}
    ) as stream:
        gathered = await stream.get_final_completion()
    whole = await client.chat.completions.parse(**ask)

    for one, other in zip(gathered.choices, whole.choices, strict=True):
        assert one.message.content == other.message.content
        assert one.message.parsed == other.message.parsed
        assert one.logprobs.content == other.logprobs.content
        assert one.finish_reason == other.finish_reason == "stop"
    assert gathered.usage.completion_tokens == whole.usage.completion_tokens


async def test_it_gets_vectors(client):
    texts = [[5, 6], [7]]
    answer = await client.embeddings.create(model="texts", input=texts)

    assert [one.index for one in answer.data] == [0, 1]
    for tokens, one in zip(texts, answer.data, strict=True):
        np.testing.assert_allclose(one.embedding, expected_vector(tokens), atol=1e-6)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 3


async def test_vectors_are_the_same_in_every_encoding(client):
    ask = {"model": "texts", "input": "a text"}
    decoded = await client.embeddings.create(**ask)  # it asks for base64 on its own
    packed = await client.embeddings.create(**ask, encoding_format="base64")
    plain = await client.embeddings.create(**ask, encoding_format="float")

    unpacked = np.frombuffer(base64.b64decode(packed.data[0].embedding), "<f4")
    np.testing.assert_array_equal(decoded.data[0].embedding, unpacked)
    np.testing.assert_allclose(plain.data[0].embedding, unpacked, atol=1e-7)


async def test_what_does_not_embed_is_told(client):
    with pytest.raises(openai.BadRequestError, match="'tiny' generates text") as caught:
        await client.embeddings.create(model="tiny", input="a text")
    assert caught.value.param == "model"
