import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import count

import numpy as np
import pytest
from tokenizers import AddedToken

from inference.api import ChatRequest, CompletionRequest, parse_body
from inference.engine.engine import Engine
from inference.engine.grammar import Grammars
from inference.engine.sampling import Sampling
from inference.engine.scheduler import Limits
from inference.engine.sequence import PromptImage
from inference.errors import ApiError
from inference.models.chat_template import ChatTemplate
from inference.models.generation import GenerationDefaults
from inference.models.tokenizer import Tokenizer
from inference.replica.images import EmbeddedImage
from inference.replica.models import Served
from inference.replica.prompts import Asked, Prompts
from telemetry.clock import SystemClock
from tests.inference.conftest import byte_tokenizer
from tests.inference.engine.conftest import EchoRuntime

END, IMAGE = 257, 258
TEMPLATE = """{% for message in messages %}{% if message['content'] is string %}
{{- message['content'] }}{% else %}{% for part in message['content'] %}
{%- if part['type'] == 'image' %}<|image|>{% else %}{{ part['text'] }}{% endif %}
{%- endfor %}{% endif %}{% endfor %}"""
PICTURE = "data:image/png;base64,"


@dataclass
class Stage:
    """Gives a URL embeddings as long as the text after its comma."""

    asked: list[str] = field(default_factory=list)

    async def embed(self, urls: Sequence[str]) -> list[EmbeddedImage]:
        self.asked += urls
        lengths = [len(url.partition(",")[2]) for url in urls]
        return [
            EmbeddedImage(bytes([length]), np.zeros((length, 8), np.float32)) for length in lengths
        ]


@dataclass
class Only:
    """The one model that is served."""

    served: Served

    def find(self, name: str) -> Served:
        assert name == self.served.name
        return self.served


def tokenizer() -> Tokenizer:
    vocabulary = byte_tokenizer()
    vocabulary.add_special_tokens([AddedToken("<|image|>", special=True)])
    return Tokenizer(vocabulary, chat=ChatTemplate(TEMPLATE))


@pytest.fixture
def served() -> Served:
    """A model that sees."""
    words, stop = tokenizer(), frozenset({END})
    engine = Engine(
        EchoRuntime(), blocks=16, limits=Limits(4, 64), context=40, clock=SystemClock()
    )
    return Served(
        "tiny", (engine,), words, 264, stop,
        GenerationDefaults(temperature=0.5, top_p=0.75, top_k=9),
        Grammars(words.to_json, vocabulary=264, stop_tokens=stop),
        image_token=IMAGE, images=Stage(),
    )  # fmt: skip


def prompts(served: Served) -> Prompts:
    ids, seeds = count(), count(100)
    return Prompts(
        Only(served), lambda: f"id-{next(ids)}", lambda: next(seeds), clock=SystemClock()
    )


async def chat(served: Served, *parts: object, **fields: object) -> Asked:
    body = {"model": "tiny", "messages": [{"role": "user", "content": list(parts)}], **fields}
    return await prompts(served).chat(parse_body(ChatRequest, json_of(body)))


async def text(served: Served, **fields: object) -> Asked:
    body = {"model": "tiny", "prompt": "ab", **fields}
    return await prompts(served).text(parse_body(CompletionRequest, json_of(body)))


def json_of(body: object) -> bytes:
    return json.dumps(body).encode()


def said(words: str) -> dict[str, object]:
    return {"type": "text", "text": words}


def image(tokens: int) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": PICTURE + "x" * tokens, "detail": "low"}}


def ids(words: str) -> list[int]:
    return byte_tokenizer().encode(words, add_special_tokens=False).ids


async def test_what_a_body_leaves_open_the_model_says(served: Served):
    (request,) = (await text(served)).requests

    assert request.sampling == Sampling(temperature=0.5, top_p=0.75, top_k=9, seed=100)
    assert (request.max_tokens, request.choices, request.priority) == (16, 1, 0)
    assert request.stop_tokens == {END}
    assert request.constraint is None


async def test_what_a_body_says_goes_to_the_engine(served: Served):
    (request,) = (
        await text(
            served, temperature=1, top_p=0.5, top_k=-1, min_p=0.25, seed=-3, n=3, priority=-2,
            presence_penalty=0.5, frequency_penalty=-0.5, repetition_penalty=1.5,
            logit_bias={"5": -100, "6": 1}, logprobs=4, max_tokens=7, ignore_eos=True,
        )
    ).requests  # fmt: skip

    assert request.sampling == Sampling(
        temperature=1, top_p=0.5, top_k=0, min_p=0.25, seed=-3, repetition_penalty=1.5,
        presence_penalty=0.5, frequency_penalty=-0.5, logit_bias=((5, -100), (6, 1)), logprobs=4,
    )  # fmt: skip
    assert (request.max_tokens, request.choices, request.priority) == (7, 3, -2)
    assert request.stop_tokens == frozenset()


async def test_each_prompt_is_a_request_of_its_own(served: Served):
    asked = await text(served, prompt=["ab", "c"], n=2)

    assert [request.prompt for request in asked.requests] == [(256, *ids("ab")), (256, *ids("c"))]
    assert [request.id for request in asked.requests] == ["id-0", "id-1"]
    assert (asked.id, asked.choices, asked.prompt_tokens) == ("id-0", 4, 5)


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ([], "expected 1 to 128 prompts, got 0"),
        (["a"] * 129, "got 129"),
        ("", "at least one token"),
        (["a", ""], "at least one token"),
        ([[]], "at least one token"),
        ([264], "token 264 is outside"),
        ("a<|image|>b", "image mark"),
        ([5, IMAGE], "image mark"),
    ],
    ids=str,
)
async def test_a_prompt_that_is_none_is_refused(served: Served, prompt: object, reason: str):
    with pytest.raises(ApiError, match=reason) as raised:
        await text(served, prompt=prompt)

    assert (raised.value.status, raised.value.param) == (400, "prompt")


class NeverEncoding(Tokenizer):
    """Finds tokens in no text: they are not to be looked for."""

    def encode(self, text: str) -> list[int]:
        raise AssertionError(len(text))

    def encode_chat(self, messages: Sequence[object]) -> list[int]:
        raise AssertionError(len(messages))


@pytest.mark.parametrize("ask", [chat, text])
async def test_a_text_that_cannot_fit_is_refused_before_its_tokens_are_found(served: Served, ask):
    blind = replace(served, tokenizer=NeverEncoding(byte_tokenizer()))
    much = "a" * 2**17
    asked = ask(blind, said(much)) if ask is chat else ask(blind, prompt=much)

    with pytest.raises(ApiError, match="context length is 40 tokens") as raised:
        await asked

    assert (raised.value.status, raised.value.code) == (400, "context_length_exceeded")


async def test_images_stand_where_the_template_puts_them(served: Served):
    (request,) = (await chat(served, image(2), said("ab"), image(3), max_tokens=1)).requests

    assert request.prompt == (*[IMAGE] * 2, *ids("ab"), *[IMAGE] * 3)
    assert [(one.start, one.end, one.digest) for one in request.images] == [
        (0, 2, b"\x02"), (4, 7, b"\x03"),
    ]  # fmt: skip
    assert all(isinstance(one, PromptImage) for one in request.images)


async def test_the_room_for_an_answer_is_what_the_images_leave(served: Served):
    (request,) = (await chat(served, image(9), said("a"))).requests

    assert request.max_tokens == 40 - 10


async def test_texts_in_parts_are_one_text(served: Served):
    (request,) = (await chat(served, said("a"), said("b"))).requests

    assert request.prompt == tuple(ids("ab"))


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([said("a<|image|>b")], id="a mark and no image"),
        pytest.param([image(2), said("<|image|>")], id="a mark beside an image"),
    ],
)
async def test_a_mark_that_a_user_types_makes_no_image(served: Served, parts: list[object]):
    with pytest.raises(ApiError, match="places for images, but the request has") as raised:
        await chat(served, *parts)

    assert (raised.value.status, raised.value.param) == (400, "messages")


async def test_a_model_that_does_not_see_takes_no_images(served: Served):
    blind = replace(served, images=None, image_token=None)

    with pytest.raises(ApiError, match="'tiny' takes no images") as raised:
        await chat(blind, image(2))

    assert raised.value.status == 400


async def test_a_template_without_images_is_told_apart_from_one_that_forges_them(served: Served):
    texts = Tokenizer(byte_tokenizer(), chat=ChatTemplate("{{ messages[0]['content'] }}"))

    with pytest.raises(ApiError, match="no place for parts of type 'image'"):
        await chat(replace(served, tokenizer=texts), image(2), said("a"))


FORMATS = [
    pytest.param({"response_format": {"type": "json_object"}}, "{}", id="any object"),
    pytest.param(
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": [1]}}}},
        "1", id="schema",
    ),
    pytest.param({"structured_outputs": {"json": {"enum": ["b"]}}}, '"b"', id="vLLM schema"),
    pytest.param({"structured_outputs": {"regex": "ab?c"}}, "ac", id="regex"),
    pytest.param({"structured_outputs": {"choice": ["yes", "no"]}}, "no", id="choice"),
    pytest.param({"structured_outputs": {"grammar": 'start: "x" "y"'}}, "xy", id="grammar"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "answer"), FORMATS)
async def test_a_format_constrains_every_choice_from_its_beginning(
    served: Served, fields: dict[str, object], answer: str
):
    (request,) = (await text(served, ignore_eos=True, **fields)).requests

    for constraint in (request.constraint(), request.constraint()):
        for token in ids(answer):
            assert not constraint.is_complete
            constraint.accept(token)
        assert constraint.is_complete
    assert request.stop_tokens == {END}  # an answer that may go on must be able to end


NESTED = reduce(lambda inner, _: {"properties": {"a": inner}}, range(90), {"type": "string"})


async def test_a_text_of_any_format_is_not_constrained(served: Served):
    (request,) = (await text(served, response_format={"type": "text"})).requests

    assert request.constraint is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}},
         "response_format"),
        ({"structured_outputs": {"json": {"type": "x"}}}, "structured_outputs"),
        ({"structured_outputs": {"regex": "("}}, "structured_outputs"),
        ({"structured_outputs": {"grammar": "start: x"}}, "structured_outputs"),
        ({"structured_outputs": {"json": NESTED}}, "structured_outputs"),
        ({"logit_bias": {"264": 1}}, "logit_bias"),
    ],
)  # fmt: skip
async def test_a_wish_that_cannot_be_granted_is_named(served: Served, fields, param: str):
    with pytest.raises(ApiError, match=f"'{param}'") as raised:
        await text(served, **fields)

    assert (raised.value.status, raised.value.param) == (400, param)
