import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.gateway.completion import Operation, read_completion
from inference.gateway.errors import BadRequestError


def read(body):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_completion(Operation.CHAT, raw)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "not valid JSON", id="empty"),
        pytest.param(b"{", "not valid JSON", id="cut off"),
        pytest.param(b"\xff\xfe\xfa", "not valid JSON", id="not UTF-8"),
        pytest.param(b"[" * 200_000, "not valid JSON", id="absurdly nested"),
        pytest.param(b'{"model": "m", "top_p": NaN}', "NaN is not JSON", id="NaN"),
        pytest.param([], "a JSON list", id="a list"),
        pytest.param("hi", "a JSON str", id="a string"),
        pytest.param({}, "`model` must be", id="no model"),
        pytest.param({"model": ""}, "`model` must be", id="empty model"),
        pytest.param({"model": 7}, "`model` must be", id="model is a number"),
    ],
)
def test_a_body_that_makes_no_request_is_refused_with_its_reason(body, message):
    with pytest.raises(BadRequestError, match=message):
        read(body)


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_no_body_does_worse_than_be_refused(body):
    with suppress(BadRequestError):
        assert read(body).model


def test_a_whole_answer_is_asked_for_with_the_very_bytes_that_came():
    body = b'{ "model":"m",  "messages": [] }'

    assert read(body).payload == body
    assert not read(body).streams


def test_a_stream_is_made_to_report_its_usage():
    ask = read({"model": "m", "stream": True, "stream_options": {"x": 1}, "seed": 3})

    assert ask.streams
    assert not ask.wants_usage
    assert json.loads(ask.payload) == {
        "model": "m",
        "stream": True,
        "seed": 3,
        "stream_options": {"x": 1, "include_usage": True},
    }


def test_a_client_that_asks_for_usage_gets_it():
    body = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}

    assert read(body).wants_usage


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"stream": "yes"}, id="stream is a word"),
        pytest.param({"stream": True, "stream_options": [1]}, id="options are a list"),
    ],
)
def test_what_only_a_replica_can_judge_is_passed_on_untouched(odd):
    body = json.dumps({"model": "m"} | odd).encode()

    assert read(body).payload == body


def test_each_operation_has_its_path():
    assert Operation.CHAT.path == "/v1/chat/completions"
    assert Operation.TEXT.path == "/v1/completions"
