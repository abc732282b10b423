import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.api import ChatRequest, CompletionRequest, parse_body
from inference.gateway.completion import Operation, read_completion
from inference.gateway.errors import BadRequestError
from inference.gateway.tenancy.priority import Priority

HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def read(body, operation=Operation.CHAT):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_completion(operation, raw)


def with_fields(**fields):
    return read(HELLO | fields)


def read_all(ask):
    """Read everything that is read late."""
    return [
        ask.max_tokens, ask.choices, ask.images, ask.has_images, ask.prompt_bytes,
        list(ask.prompt), ask.session, ask.priority, ask.is_deterministic, ask.digest,
        ask.sampling, *map(ask.payload_with, Priority),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "not valid JSON", id="empty"),
        pytest.param(b"{", "not valid JSON", id="cut off"),
        pytest.param(b"\xff\xfe\xfa", "not valid JSON", id="not UTF-8"),
        pytest.param('{"model": "m"}'.encode("utf-16"), "not valid JSON", id="UTF-16"),
        pytest.param(b"\xef\xbb\xbf{}", "not valid JSON", id="a byte order mark"),
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


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "text", "image_url", "\ud800", "priority", 10**400, -(10**400)]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["role", "content", "type", "text", "image_url", "url", "session", "include_usage"]
        ),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
FIELDS = st.sampled_from(
    [
        "messages", "prompt", "input", "n", "max_tokens", "max_completion_tokens", "temperature",
        "seed", "stop", "top_k", "priority", "service_tier", "metadata", "user", "stream",
        "stream_options", "prompt_cache_key", "logit_bias",
    ]
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(FIELDS, ODD), st.sampled_from(Operation))
def test_fields_of_any_kind_can_be_read(fields, operation):
    ask = read({"model": "m"} | fields, operation)

    read_all(ask)
    assert ask.choices >= 1
    assert json.loads(ask.payload)["model"] == "m"
    assert all(json.loads(ask.payload_with(priority)) for priority in Priority)


def test_a_body_nested_to_the_limit_of_reading_can_be_read():
    for depth in range(900, 1000):
        body = b'{"model": "m", "seed": 1, "x": ' + b"[" * depth + b"]" * depth + b"}"
        with suppress(BadRequestError):
            read_all(read(body))


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


def test_a_stream_keeps_its_bytes_and_has_its_options_added():
    body = b'{"model": "m",  "top_p": 1.50, "stream": true}\n'

    assert read(body).payload == (
        b'{"model": "m",  "top_p": 1.50, "stream": true,"stream_options": {"include_usage": true}}'
    )


def test_each_operation_has_its_path():
    assert Operation.CHAT.path == "/v1/chat/completions"
    assert Operation.TEXT.path == "/v1/completions"
    assert Operation.EMBEDDINGS.path == "/v1/embeddings"


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        pytest.param(None, {}, id="not given"),
        pytest.param(5, {"max_tokens": 5}, id="by the old name"),
        pytest.param(7, {"max_tokens": 5, "max_completion_tokens": 7}, id="the new name counts"),
        pytest.param(5, {"max_tokens": 5, "max_completion_tokens": None}, id="null is not given"),
        pytest.param(None, {"max_tokens": 0}, id="none at all"),
        pytest.param(None, {"max_tokens": "5"}, id="a word"),
        pytest.param(None, {"max_tokens": True}, id="a truth value"),
    ],
)
def test_the_bound_of_the_answer(expected, fields):
    assert with_fields(**fields).max_tokens == expected


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        pytest.param(1, {}, id="one is usual"),
        pytest.param(3, {"n": 3}, id="n"),
        pytest.param(1, {"n": 0}, id="none"),
        pytest.param(1, {"n": 129}, id="more than a replica takes, which it refuses at once"),
        pytest.param(2, {"prompt": ["a", "b"]}, id="an answer for each prompt"),
        pytest.param(6, {"prompt": [[1, 2], [3]], "n": 3}, id="n answers for each prompt"),
        pytest.param(1, {"prompt": [1, 2, 3]}, id="one prompt of tokens"),
    ],
)
def test_the_answers_to_be_generated(expected, body):
    assert read({"model": "m", "prompt": "a"} | body, Operation.TEXT).choices == expected


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        pytest.param(False, {}, id="sampled"),
        pytest.param(True, {"temperature": 0}, id="greedy"),
        pytest.param(True, {"temperature": 0.0, "n": 1}, id="greedy, one answer"),
        pytest.param(False, {"temperature": 0, "n": 2}, id="two samples are wanted"),
        pytest.param(False, {"temperature": 0.01}, id="nearly greedy"),
        pytest.param(False, {"temperature": False}, id="no number"),
        pytest.param(True, {"temperature": 1, "seed": 0}, id="seeded"),
        pytest.param(True, {"seed": 5, "n": 2}, id="two seeded samples"),
        pytest.param(False, {"seed": "5"}, id="no seed"),
    ],
)
def test_which_answers_are_the_same_when_asked_for_again(expected, fields):
    assert with_fields(**fields).is_deterministic == expected


def test_embeddings_are_deterministic_and_take_one_place():
    ask = read({"model": "m", "input": ["a", "bc"], "n": 4}, Operation.EMBEDDINGS)

    assert ask.is_deterministic
    assert (ask.choices, ask.prompt_bytes, list(ask.prompt)) == (1, 3, [])


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        pytest.param(None, {}, id="none"),
        pytest.param("k", {"prompt_cache_key": "k", "user": "u"}, id="the key before the user"),
        pytest.param("s", {"metadata": {"session_id": "s"}, "user": "u"}, id="metadata"),
        pytest.param("c", {"metadata": {"conversation_id": "c"}}, id="a conversation"),
        pytest.param("u", {"metadata": "s", "user": "u"}, id="the user at last"),
        pytest.param(None, {"user": ""}, id="nobody"),
        pytest.param("x" * 256, {"user": "x" * 300}, id="only so long"),
    ],
)
def test_the_session_that_a_request_names(expected, fields):
    assert with_fields(**fields).session == expected


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        pytest.param(Priority.STANDARD, {}, id="none asked for"),
        pytest.param(Priority.INTERACTIVE, {"service_tier": "priority"}, id="priority tier"),
        pytest.param(Priority.BATCH, {"service_tier": "flex"}, id="flex tier"),
        pytest.param(Priority.STANDARD, {"service_tier": "auto"}, id="auto tier"),
        pytest.param(Priority.STANDARD, {"service_tier": ["flex"]}, id="malformed tier"),
        pytest.param(Priority.INTERACTIVE, {"priority": -3}, id="ahead of others at a replica"),
        pytest.param(Priority.BATCH, {"priority": 3}, id="behind others at a replica"),
        pytest.param(Priority.STANDARD, {"priority": "high"}, id="malformed priority"),
        pytest.param(Priority.STANDARD, {"service_tier": "auto", "priority": -3}, id="both"),
    ],
)
def test_the_class_that_a_request_asks_for(expected, fields):
    assert with_fields(**fields).priority == expected


def at_replica(payload):
    return parse_body(ChatRequest, payload)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("priority", Priority)
def test_a_replica_gets_the_class_and_what_the_client_sent(priority, stream):
    ask = with_fields(stream=stream, temperature=0.5, service_tier="flex", user="u")

    got = at_replica(ask.payload_with(priority))

    assert got.priority == priority.rank - Priority.STANDARD.rank
    assert (got.stream, got.wants_usage, got.temperature) == (stream, stream, 0.5)


def test_what_needs_nothing_added_goes_on_as_it_came():
    body = json.dumps(HELLO, indent=3).encode()

    assert read(body).payload_with(Priority.STANDARD) == body


def test_a_client_does_not_jump_the_line_by_a_priority_of_its_own():
    ask = with_fields(priority=-1000, stream=True)

    assert at_replica(ask.payload).priority == 0
    assert at_replica(ask.payload_with(Priority.BATCH)).priority == 1


def test_a_malformed_priority_is_left_for_the_replica_to_refuse():
    ask = with_fields(priority="high")

    assert json.loads(ask.payload_with(Priority.BATCH))["priority"] == "high"


def test_fields_for_the_gateway_alone_do_not_trouble_a_replica():
    ask = read(
        {
            "model": "m", "prompt": "x", "service_tier": "flex", "prompt_cache_key": "k",
            "metadata": {"session": "s"}, "user": "u", "store": True, "safety_identifier": "i",
        },
        Operation.TEXT,
    )  # fmt: skip

    assert parse_body(CompletionRequest, ask.payload).prompts == ["x"]


def test_spans_tell_how_a_request_samples():
    ask = with_fields(
        max_tokens=9, temperature=0.5, top_p=1, top_k=4, seed=3, n=2, stop=["a", "b"],
        stream=True, frequency_penalty=0.1, presence_penalty=-1,
    )  # fmt: skip

    assert ask.sampling == {
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1,
        "gen_ai.request.top_k": 4,
        "gen_ai.request.seed": 3,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.stop_sequences": ["a", "b"],
        "gen_ai.request.stream": True,
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": -1,
    }


def test_spans_are_not_given_what_they_cannot_hold():
    ask = with_fields(seed=2**63, temperature="hot", stop={"a": 1}, n=True, max_tokens=2**63)

    assert ask.sampling == {}


def test_the_prompt_is_measured_without_its_images():
    parts = [
        {"type": "text", "text": "grün"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    ask = read({"model": "m", "messages": [{"role": "user", "content": parts}]})

    assert (ask.prompt_bytes, ask.images, ask.has_images) == (5, 1, True)


def test_the_beginning_of_a_prompt_can_be_read_more_than_once():
    ask = read(HELLO)

    assert list(ask.prompt) == list(ask.prompt) == [b"user\0hello"]
