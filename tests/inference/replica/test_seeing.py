"""Pictures in conversations, from the client to the tokens of the answer."""

import asyncio

import openai
import pytest
import pytest_asyncio

from tests.inference.conftest import IMAGE
from tests.inference.replica.conftest import started
from tests.inference.seeing import data_url, picture, write_seeing

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMAGE_TOKENS = 16  # of the tiny model's 8 x 8 pixels in patches of 2 x 2


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("seeing")
    async with started(folder, write_seeing(folder / "model")) as running:
        url = f"{running.record.url}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            yield client


def image(seed: int) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": data_url(picture(seed=seed))}}


def said(text: str) -> dict[str, object]:
    return {"type": "text", "text": text}


async def ask(client, *parts: dict[str, object], **fields: object):
    messages = [{"role": "user", "content": list(parts)}]
    settings = {"max_tokens": 8, "temperature": 0, "logprobs": True} | fields
    return await client.chat.completions.create(model="tiny", messages=messages, **settings)


def numbers(answer) -> list[float]:
    """How likely each token of the answer was: what the model saw is in every one of them."""
    return [one.logprob for one in answer.choices[0].logprobs.content]


async def test_a_picture_takes_as_many_tokens_as_it_has_patches(client):
    blind = await ask(client, said("what is it?"))
    one = await ask(client, image(1), said("what is it?"))
    two = await ask(client, image(1), image(2), said("what is it?"))

    assert one.usage.prompt_tokens - blind.usage.prompt_tokens == IMAGE_TOKENS
    assert two.usage.prompt_tokens - one.usage.prompt_tokens == IMAGE_TOKENS


async def test_the_answer_depends_on_the_picture_and_on_where_it_stands(client):
    first, again, other = [await ask(client, image(seed), said("?")) for seed in (1, 1, 2)]
    after = await ask(client, said("?"), image(1))

    assert numbers(first) == pytest.approx(numbers(again), abs=1e-4)
    assert numbers(first) != pytest.approx(numbers(other), abs=1e-2)
    assert numbers(first) != pytest.approx(numbers(after), abs=1e-2)


async def test_pictures_of_several_requests_do_not_mix(client):
    alone = [await ask(client, image(seed), said("what?")) for seed in range(4)]

    together = await asyncio.gather(
        *(ask(client, image(seed), said("what?")) for seed in range(4))
    )

    for one, other in zip(alone, together, strict=True):
        assert one.choices[0].message.content == other.choices[0].message.content
        assert numbers(one) == pytest.approx(numbers(other), abs=1e-4)


async def test_a_prefix_with_another_picture_is_no_prefix(client):
    text = said("a text of more than one block of the cache, after the picture")
    await ask(client, image(11), text)

    same, other = await ask(client, image(11), text), await ask(client, image(12), text)

    assert same.usage.prompt_tokens_details.cached_tokens > IMAGE_TOKENS
    assert other.usage.prompt_tokens_details.cached_tokens < IMAGE_TOKENS + 8


async def test_all_choices_see_the_picture(client):
    one = await ask(client, image(3), said("?"), n=2)

    assert one.choices[0].logprobs.content == one.choices[1].logprobs.content


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        pytest.param([said(IMAGE)], "places for images", id="a mark alone"),
        pytest.param([image(1), said(IMAGE)], "places for images", id="a mark too many"),
        pytest.param(
            [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
            "image", id="no picture",
        ),
        pytest.param(
            [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}],
            "not fetched from the network", id="elsewhere",
        ),
    ],
)  # fmt: skip
async def test_what_is_no_picture_is_refused(client, parts, reason: str):
    with pytest.raises(openai.BadRequestError, match=reason) as raised:
        await ask(client, *parts)

    assert raised.value.param == "messages"
