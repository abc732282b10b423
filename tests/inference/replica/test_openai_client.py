"""What the replica says, as the openai client understands it."""

import json
from collections import defaultdict

import openai
import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASK = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "seed": 4}


@pytest_asyncio.fixture(loop_scope="module")
async def client(running):
    url = f"{running.record.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


async def test_it_gets_several_choices(client):
    answer = await client.chat.completions.create(**ASK, n=3, max_tokens=20)

    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) == 3
    assert answer.usage.prompt_tokens_details.cached_tokens >= 0


async def test_it_gets_log_probabilities(client):
    no_marks = {str(token): -100 for token in range(256, 264)}
    answer = await client.chat.completions.create(
        **ASK, max_tokens=6, logprobs=True, top_logprobs=3, logit_bias=no_marks
    )

    content = answer.choices[0].logprobs.content
    spelt = bytes(byte for one in content for byte in one.bytes)
    assert spelt.decode(errors="replace") == answer.choices[0].message.content
    assert all(one.logprob <= one.top_logprobs[0].logprob < 0 for one in content)
    assert all(len(one.top_logprobs) == 3 for one in content)


async def test_a_stream_of_two_choices_adds_up_to_the_whole_answer(client):
    ask = ASK | {"n": 2, "max_tokens": 20, "logprobs": True}
    whole = await client.chat.completions.create(**ask)
    texts, numbers = defaultdict(str), defaultdict(list)
    options = {"include_usage": True}
    async for chunk in await client.chat.completions.create(
        **ask, stream=True, stream_options=options
    ):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            numbers[choice.index] += (choice.logprobs and choice.logprobs.content) or []

    for choice in whole.choices:
        assert texts[choice.index] == choice.message.content
        assert numbers[choice.index] == choice.logprobs.content
    assert chunk.usage.completion_tokens == whole.usage.completion_tokens


async def test_it_gets_log_probabilities_of_plain_texts(client):
    answer = await client.completions.create(
        model="tiny", prompt="once", max_tokens=5, logprobs=2, temperature=0
    )

    logprobs = answer.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset) == 5
    assert logprobs.token_logprobs == [max(top.values()) for top in logprobs.top_logprobs]


async def test_it_gets_json_by_a_schema(client):
    schema = {"type": "object", "properties": {"sky": {"enum": ["clear", "cloudy"]}},
              "required": ["sky"], "additionalProperties": False}  # fmt: skip
    answer = await client.chat.completions.create(
        **ASK, max_tokens=200, n=2,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "weather", "strict": True, "schema": schema},
        },
    )  # fmt: skip

    for choice in answer.choices:
        assert json.loads(choice.message.content)["sky"] in {"clear", "cloudy"}


async def test_it_understands_why_a_schema_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="Invalid type: strin") as raised:
        await client.chat.completions.create(
            **ASK,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "bad", "schema": {"type": "strin"}},
            },
        )

    assert raised.value.param == "response_format"


async def test_it_may_ask_for_what_is_not_openais(client):
    answer = await client.chat.completions.create(
        **ASK, max_tokens=9,
        extra_body={"structured_outputs": {"choice": ["yes", "no"]}, "min_p": 0.1, "priority": 3},
    )  # fmt: skip

    assert answer.choices[0].message.content in {"yes", "no"}
