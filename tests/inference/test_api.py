import json

import pytest
from pydantic import BaseModel, ValidationError

from inference.api import ChatRequest, CompletionRequest, LifecycleRequest, parse_body
from inference.errors import ApiError

CHAT = b'"model": "m", "messages": [{"role": "user", "content": "hi"}]'
TEXT = b'"model": "m", "prompt": "hi"'


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (b'"max_tokens": "8"', "max_tokens"),
        (b'"max_tokens": 0', "max_tokens"),
        (b'"max_tokens": true', "max_tokens"),
        (b'"max_tokens": 1.5', "max_tokens"),
        (b'"temperature": -1', "temperature"),
        (b'"temperature": 2.1', "temperature"),
        (b'"temperature": "hot"', "temperature"),
        (b'"temperature": NaN', "temperature"),
        (b'"top_p": 1.1', "top_p"),
        (b'"top_k": -2', "top_k"),
        (b'"seed": "x"', "seed"),
        (b'"stop": 5', "stop"),
        (b'"stop": ""', "stop"),
        (b'"stop": ["a", ""]', "stop"),
        (b'"stream": "yes"', "stream"),
        (b'"stream_options": 3', "stream_options"),
        (b'"n": 0', "n"),
        (b'"n": 129', "n"),
        (b'"logprobs": 21', "logprobs"),
        (b'"logprobs": true', "logprobs"),
        (b'"min_p": 1.1', "min_p"),
        (b'"repetition_penalty": 0', "repetition_penalty"),
        (b'"frequency_penalty": 2.5', "frequency_penalty"),
        (b'"presence_penalty": "x"', "presence_penalty"),
        (b'"logit_bias": {"5": 101}', "logit_bias"),
        (b'"logit_bias": {"-5": 1}', "logit_bias"),
        (b'"logit_bias": {"word": 1}', "logit_bias"),
        (b'"logit_bias": [5]', "logit_bias"),
        (b'"priority": 1.5', "priority"),
        (b'"priority": 2147483648', "priority"),
        (b'"priority": -2147483648', "priority"),
        (b'"repetition_penalty": 1e-300', "repetition_penalty"),
        (b'"stop": [' + b'"a",' * 64 + b'"a"]', "stop"),
        (b'"stop": "' + b"a" * 1025 + b'"', "stop"),
        (b'"structured_outputs": {"regex": "' + b"a" * 8193 + b'"}', "structured_outputs"),
        (b'"structured_outputs": {"grammar": "' + b"a" * 8193 + b'"}', "structured_outputs"),
        (b'"structured_outputs": {"choice": [' + b'"a",' * 1000 + b'"a"]}', "structured_outputs"),
        (b'"structured_outputs": {"choice": ["' + b"a" * 70_000 + b'"]}', "structured_outputs"),
        (b'"structured_outputs": {"json": {"a": "' + b"a" * 5000 + b'"}}', "structured_outputs"),
        (
            b'"structured_outputs": {"json": {"enum": [' + b'"abc",' * 12_000 + b"1]}}",
            "structured_outputs",
        ),
        (b'"prompt": [' + b"[]," * 5000 + b"[1]]", "prompt"),
        (b'"echo": true', "echo"),
        (b'"best_of": 3', "best_of"),
        (b'"tools": [{"type": "function"}]', "tools"),
        (b'"response_format": {"type": "yaml"}', "response_format"),
        (b'"response_format": {"type": "json_schema"}', "response_format"),
        (b'"response_format": {"type": "json_schema", "json_schema": {}}', "response_format"),
        (b'"structured_outputs": {}', "structured_outputs"),
        (b'"structured_outputs": {"regex": "a", "choice": ["b"]}', "structured_outputs"),
        (b'"structured_outputs": {"choice": []}', "structured_outputs"),
        (
            b'"response_format": {"type": "json_object"}, "structured_outputs": {"regex": "a"}',
            "structured_outputs",
        ),
        (b'"guided_json": {}', "guided_json"),
        (b'"prompt": 5', "prompt"),
        (b'"prompt": ["a", 5]', "prompt"),
        (b'"prompt": [-1]', "prompt"),
        (b'"model": null', "model"),
    ],
    ids=lambda value: value[:80].decode() if isinstance(value, bytes) else "",
)
def test_a_wrong_or_unsupported_field_is_named(fields: bytes, param: str):
    with pytest.raises(ApiError) as raised:
        parse_body(CompletionRequest, b"{" + TEXT + b", " + fields + b"}")

    assert raised.value.status == 400
    assert raised.value.param == param
    assert f"'{param}'" in str(raised.value)


@pytest.mark.parametrize(
    "fields",
    [
        b'"n": 1',
        b'"logprobs": false, "echo": false, "best_of": 1',
        b'"logprobs": null, "temperature": null, "stop": null, "stream": null, "seed": null',
        b'"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}',
        b'"frequency_penalty": 2, "presence_penalty": -2, "logit_bias": {"7": -100, "8": 0.5}',
        b'"n": 128, "logprobs": 20, "min_p": 0.5, "repetition_penalty": 1.2, "priority": -3',
        b'"response_format": {"type": "text"}, "structured_outputs": {"regex": "a+"}',
        b'"response_format": {"type": "json_object"}, "structured_outputs": null',
        b'"user": "me", "metadata": {"a": 1}, "store": false, "future_field": [1]',
        b'"temperature": 1, "top_p": 0, "top_k": -1, "seed": -5',
        b'"stop": ["a", "b"], "max_tokens": 5, "stream_options": {"include_usage": true}',
    ],
    ids=bytes.decode,
)
def test_harmless_fields_are_welcome(fields: bytes):
    assert parse_body(CompletionRequest, b"{" + TEXT + b", " + fields + b"}").prompt == "hi"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"model": "\\ud800", "prompt": "hi"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_no_json_object_is_one_clear_error(body: bytes):
    with pytest.raises(ApiError) as raised:
        parse_body(CompletionRequest, body)

    assert raised.value.status == 400
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (b"[]", "at least 1 item"),
        (b'"hi"', "valid array"),
        (b'[{"content": "hi"}]', "required"),
        (b'[{"role": "user", "content": 5}]', "valid string"),
        (b'[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]', "required"),
        (b'[{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]', "object"),
        (b'[{"role": "user", "content": [{"type": "input_audio"}]}]', "input_audio"),
    ],
)
def test_wrong_messages_are_refused(messages: bytes, reason: str):
    with pytest.raises(ApiError, match=reason) as raised:
        parse_body(ChatRequest, b'{"model": "m", "messages": ' + messages + b"}")

    assert raised.value.param == "messages"


def with_image(url: str) -> bytes:
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": url}}]
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": parts}]}).encode()


def test_an_image_comes_in_the_body():
    ask = parse_body(ChatRequest, with_image("data:image/png;base64,AA=="))

    assert (ask.messages[0].text, ask.images) == ("see", ["data:image/png;base64,AA=="])


@pytest.mark.parametrize("url", ["https://example.com/a.png", "file:///etc/passwd", "a.png", ""])
def test_the_server_fetches_no_image(url: str):
    with pytest.raises(ApiError, match="not fetched from the network; send the image") as raised:
        parse_body(ChatRequest, with_image(url))

    assert (raised.value.status, raised.value.param) == (400, "messages")


@pytest.mark.parametrize(
    ("fields", "alternatives"),
    [
        (b"", None),
        (b', "logprobs": false, "top_logprobs": 0', None),
        (b', "logprobs": true', 0),
        (b', "logprobs": true, "top_logprobs": 20', 20),
    ],
)
def test_a_chat_asks_for_log_probabilities_with_two_fields(
    fields: bytes, alternatives: int | None
):
    assert parse_body(ChatRequest, b"{" + CHAT + fields + b"}").alternatives == alternatives


@pytest.mark.parametrize("fields", [b"", b', "logprobs": false', b', "logprobs": null'])
def test_alternatives_need_log_probabilities(fields: bytes):
    with pytest.raises(ApiError, match="only possible together with") as raised:
        parse_body(ChatRequest, b"{" + CHAT + fields + b', "top_logprobs": 2}')

    assert raised.value.param == "top_logprobs"


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        (b'"a"', ["a"]),
        (b'["a", "b"]', ["a", "b"]),
        (b"[1, 2]", [[1, 2]]),
        (b"[[1], [2, 3]]", [[1], [2, 3]]),
        (b"[]", []),
    ],
    ids=str,
)
def test_prompts_are_a_list_whatever_they_come_as(prompt: bytes, prompts: list[object]):
    body = b'{"model": "m", "prompt": ' + prompt + b"}"

    assert parse_body(CompletionRequest, body).prompts == prompts


def test_a_message_may_come_in_parts():
    parts = b'[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]'
    body = b'{"model": "m", "messages": [{"role": "user", "content": ' + parts + b"}]}"

    assert parse_body(ChatRequest, body).messages[0].text == "ab"


def test_a_message_may_be_empty():
    body = b'{"model": "m", "messages": [{"role": "assistant", "content": null, "name": "x"}]}'

    assert parse_body(ChatRequest, body).messages[0].text == ""


@pytest.mark.parametrize(
    ("kind", "body", "most"),
    [
        (CompletionRequest, b'{"model": "m", "prompt": [' + b"-1," * 99_999 + b"-1]}", 4),
        (
            CompletionRequest,
            b'{"model": "m", "prompt": "a", "stop": [' + b"1," * 99_999 + b"1]}",
            2,
        ),
        (ChatRequest, b'{"model": "m", "messages": [' + b"{}," * 99_999 + b"{}]}", 2),
    ],
)
def test_of_countless_faults_only_the_first_are_looked_for(
    kind: type[BaseModel], body: bytes, most: int
):
    with pytest.raises(ValidationError) as raised:
        kind.model_validate_json(body)

    assert raised.value.error_count() <= most


def test_biases_are_counted_before_they_are_read():
    biases = ",".join(f'"x{n}": 1' for n in range(20_000)).encode()

    with pytest.raises(ApiError, match="at most 16384 tokens, got 20000"):
        parse_body(CompletionRequest, b"{" + TEXT + b', "logit_bias": {' + biases + b"}}")


def test_stops_are_a_list_whether_one_or_many():
    one = parse_body(ChatRequest, b"{" + CHAT + b', "stop": "x"}')
    none = parse_body(ChatRequest, b"{" + CHAT + b"}")

    assert (one.stops, none.stops) == (["x"], [])


@pytest.mark.parametrize("state", [b'"starting"', b'"failed"', b"null", b"5"])
def test_only_three_states_can_be_ordered(state: bytes):
    with pytest.raises(ApiError, match="state"):
        parse_body(LifecycleRequest, b'{"state": ' + state + b"}")
