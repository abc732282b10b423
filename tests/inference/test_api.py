import pytest

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
        (b'"n": 2', "n"),
        (b'"logprobs": 5', "logprobs"),
        (b'"logprobs": true', "logprobs"),
        (b'"echo": true', "echo"),
        (b'"best_of": 3', "best_of"),
        (b'"tools": [{"type": "function"}]', "tools"),
        (b'"response_format": {"type": "json_object"}', "response_format"),
        (b'"frequency_penalty": 0.5', "frequency_penalty"),
        (b'"prompt": 5', "prompt"),
        (b'"prompt": ["a", 5]', "prompt"),
        (b'"prompt": [-1]', "prompt"),
        (b'"model": null', "model"),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
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
    ("messages", "param"),
    [
        (b"[]", "messages"),
        (b'"hi"', "messages"),
        (b'[{"content": "hi"}]', "messages"),
        (b'[{"role": "user", "content": 5}]', "messages"),
        (b'[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]', "messages"),
    ],
)
def test_wrong_messages_are_refused(messages: bytes, param: str):
    with pytest.raises(ApiError) as raised:
        parse_body(ChatRequest, b'{"model": "m", "messages": ' + messages + b"}")

    assert raised.value.param == param


def test_a_message_may_come_in_parts():
    parts = b'[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]'
    body = b'{"model": "m", "messages": [{"role": "user", "content": ' + parts + b"}]}"

    assert parse_body(ChatRequest, body).messages[0].text == "ab"


def test_a_message_may_be_empty():
    body = b'{"model": "m", "messages": [{"role": "assistant", "content": null, "name": "x"}]}'

    assert parse_body(ChatRequest, body).messages[0].text == ""


def test_stops_are_a_list_whether_one_or_many():
    one = parse_body(ChatRequest, b"{" + CHAT + b', "stop": "x"}')
    none = parse_body(ChatRequest, b"{" + CHAT + b"}")

    assert (one.stops, none.stops) == (["x"], [])


@pytest.mark.parametrize("state", [b'"starting"', b'"failed"', b"null", b"5"])
def test_only_three_states_can_be_ordered(state: bytes):
    with pytest.raises(ApiError, match="state"):
        parse_body(LifecycleRequest, b'{"state": ' + state + b"}")
