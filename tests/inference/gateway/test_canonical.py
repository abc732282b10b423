import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.gateway.canonical import digest_of
from inference.gateway.completion import Operation, read_completion

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
BASE = {
    "model": "m",
    "messages": [{"role": "user", "content": "hello"}],
    "temperature": 0,
    "logit_bias": {"5": 1},
}


def digest(fields, **dumping):
    return read_completion(Operation.CHAT, json.dumps(fields, **dumping).encode()).digest


def picture(data):
    part = {"type": "image_url", "image_url": {"url": data, "detail": "low"}}
    return BASE | {"messages": [{"role": "user", "content": [part]}]}


def reversed_keys(value):
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(list(value))}
    return [reversed_keys(one) for one in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4))
def test_how_a_body_is_written_does_not_matter(more):
    body = more | BASE

    assert digest(body) == digest(reversed_keys(body), indent=2, ensure_ascii=False)


@given(VALUES, VALUES)
def test_any_other_value_of_a_field_matters(one, other):
    alike = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

    assert (digest(BASE | {"x": one}) == digest(BASE | {"x": other})) == alike


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"temperature": 0.1}, id="temperature"),
        pytest.param({"seed": 1}, id="seed"),
        pytest.param({"max_tokens": 5}, id="max_tokens"),
        pytest.param({"stop": "x"}, id="stop"),
        pytest.param({"stream": True}, id="stream"),
        pytest.param({"stream_options": {"include_usage": True}}, id="stream_options"),
        pytest.param({"model": "other"}, id="model"),
        pytest.param({"messages": [{"role": "user", "content": "Hello"}]}, id="messages"),
        pytest.param({"logit_bias": {"5": 2}}, id="logit_bias"),
        pytest.param({"priority": "high"}, id="a priority that a replica will refuse"),
    ],
)
def test_what_changes_the_answer_matters(change):
    assert digest(BASE | change) != digest(BASE)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"user": "u"}, id="user"),
        pytest.param({"metadata": {"a": "b"}}, id="metadata"),
        pytest.param({"store": True}, id="store"),
        pytest.param({"service_tier": "flex"}, id="service_tier"),
        pytest.param({"priority": 4}, id="priority"),
        pytest.param({"prompt_cache_key": "k"}, id="prompt_cache_key"),
        pytest.param({"safety_identifier": "i"}, id="safety_identifier"),
        pytest.param({"temperature": 0.0}, id="zero is zero"),
        pytest.param({"temperature": -0.0}, id="on either side"),
        pytest.param({"logit_bias": {"5": 1.0}}, id="a bias is a real number"),
    ],
)
def test_what_does_not_change_the_answer_does_not_matter(change):
    assert digest(BASE | change) == digest(BASE)


def test_a_seed_is_no_real_number_for_a_replica():
    assert digest(BASE | {"seed": 1.0}) != digest(BASE | {"seed": 1})


def test_true_is_no_number():
    assert digest(BASE | {"top_p": True}) != digest(BASE | {"top_p": 1})


def test_images_matter_to_their_last_byte():
    assert digest(picture("A" * 5000)) == digest(picture("A" * 5000))
    assert digest(picture("A" * 5000)) != digest(picture("A" * 2500 + "B" + "A" * 2499))


def test_what_is_nested_too_deeply_has_no_digest():
    nested = []
    for _ in range(100_000):
        nested = [nested]

    assert digest_of({"x": nested}, has_images=False) is None
