"""Large bodies: what would hold up everybody is refused before it is parsed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import ApiError
from inference.replica.body import check_structure

MANY = 2**17 + 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"prompt": [' + b"[]," * MANY + b"[]]}", id="lists"),
        pytest.param(b'{"x": [' + b"{}," * MANY + b"{}]}", id="objects"),
        pytest.param(b"[" * (MANY + 1), id="lists within lists"),
        pytest.param(b"{" + b'"a":1,' * MANY + b'"b":1}', id="fields"),
        pytest.param(b'{"a":"\\"", "x": [' + b'["\\\\"],' * MANY + b"]}", id="between strings"),
        pytest.param(b"[" + b"1," * (2**20 + 2) + b"1]", id="items"),
    ],
)
def test_too_many_parts_are_refused(body: bytes):
    with pytest.raises(ApiError, match="too many parts") as refused:
        check_structure(body)

    assert (refused.value.status, refused.value.code) == (400, "request_too_large")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[{:," * 2**19, id="brackets in a text"),
        pytest.param('\\"[,' * 2**19, id="behind quotes in a text"),
        pytest.param("A" * 2**22, id="a picture"),
    ],
)
def test_what_stands_in_a_text_is_no_part(text: str):
    check_structure(json.dumps({"messages": [{"role": "user", "content": text}]}).encode())


def test_the_longest_conversation_that_is_read_passes():
    part = {"type": "text", "text": "a, b: [c]"}
    messages = [{"role": "user", "content": [part]} for _ in range(2**14)]

    check_structure(json.dumps({"model": "m", "messages": messages}).encode())
    check_structure(json.dumps({"model": "m", "prompt": [7] * 2**20}).encode())


@given(st.binary(max_size=300))
def test_what_is_no_json_is_left_to_the_parser(body: bytes):
    check_structure(body + b"[,:" * 2**10)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions", "/v1/embeddings"])
async def test_such_a_body_is_one_clear_error(running, path: str):
    body = b'{"model": "tiny", "x": [' + b"[]," * MANY + b"[]]}"
    async with running.http.post(path, data=body) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "request_too_large"
