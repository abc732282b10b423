import asyncio
from collections.abc import AsyncIterator

import openai
import pytest

from tests.inference.gateway.fake_replica import begin_stream, delta, eventually, hang

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def gateway(start_gateway):
    return await start_gateway()


@pytest.fixture
async def client(gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key="none", max_retries=0
    ) as client:
        yield client


async def test_it_lists_models(client):
    assert [model.id async for model in client.models.list()] == ["tiny"]
    assert (await client.models.retrieve("tiny")).owned_by == "warmfront"


async def test_it_gets_a_whole_answer(client, start_replica):
    await start_replica()
    answer = await client.chat.completions.create(model="tiny", messages=MESSAGES)

    assert answer.choices[0].message.content == "Warm front"
    assert answer.usage.completion_tokens == 3


async def test_it_gets_a_stream(client, start_replica):
    await start_replica()
    async with await client.chat.completions.create(
        model="tiny", messages=MESSAGES, stream=True
    ) as stream:
        chunks = [chunk async for chunk in stream]

    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "Warm fr\u00f6nt"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


async def test_it_gets_usage_where_it_asks(client, start_replica):
    await start_replica()
    async with await client.chat.completions.create(
        model="tiny", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = [chunk async for chunk in stream]

    assert chunks[-1].usage.total_tokens == 8


async def test_it_understands_our_errors(client, start_gateway):
    with pytest.raises(openai.NotFoundError, match="known models: tiny") as caught:
        await client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    assert caught.value.code == "model_not_found"

    empty = client.with_options(base_url=f"{(await start_gateway(hold_seconds=0)).url}/v1")
    with pytest.raises(openai.InternalServerError, match="No replica of model 'tiny'"):
        await empty.chat.completions.create(model="tiny", messages=MESSAGES)


async def test_it_understands_a_stream_that_breaks_off(client, start_replica):
    async def die(request, body):
        response = await begin_stream(request)
        await response.write(delta("half"))
        await asyncio.sleep(0.02)
        request.transport.abort()
        return response

    await start_replica(behave=die)
    async with await client.chat.completions.create(
        model="tiny", messages=MESSAGES, stream=True
    ) as stream:
        first = await anext(stream)
        with pytest.raises(openai.APIError, match="lost before its answer was complete"):
            await anext(stream)

    assert first.choices[0].delta.content == "half"


async def test_its_own_retries_work_with_our_retry_after(client, start_gateway):
    gateway = await start_gateway(hold_seconds=0, retry_after_seconds=0.01)
    patient = client.with_options(base_url=f"{gateway.url}/v1", max_retries=1)
    with pytest.raises(openai.InternalServerError):
        await patient.chat.completions.create(model="tiny", messages=MESSAGES)

    assert gateway.value("warmfront_gateway_arrivals_total", model="tiny") == 2


async def test_its_cancelled_request_frees_the_replica(client, start_replica):
    replica = await start_replica(behave=hang)
    asking = asyncio.create_task(client.chat.completions.create(model="tiny", messages=MESSAGES))
    await eventually(lambda: len(replica.requests) == 1)
    asking.cancel()
    await eventually(lambda: replica.cancelled == 1, within=1.0)
