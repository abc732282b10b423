import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.gateway.routing.load import Iteration, LoadPage, ModelLoad, parse_load

MODEL = {
    "running": 3, "waiting": 2, "waiting_tokens": 700, "slots": 8, "kv_usage": 0.25,
    "iteration": {"fixed": 0.01, "decode_token": 0.001, "prefill_token": 0.0001},
    "context": 4096, "modalities": ["text", "image"],
}  # fmt: skip
PAGE = {
    "id": "r1", "state": "serving", "steps": 9, "progress_age": 0.5, "models": {"tiny": MODEL}
}  # fmt: skip


def test_a_page_is_read():
    expected = ModelLoad(
        running=3, waiting=2, waiting_tokens=700, slots=8, kv_usage=0.25,
        iteration=Iteration(0.01, 0.001, 0.0001), context=4096,
        modalities=frozenset({"text", "image"}),
    )  # fmt: skip

    assert parse_load(json.dumps(PAGE)) == LoadPage({"tiny": expected}, 0.5)


def test_what_a_replica_does_not_know_yet_is_unknown():
    model = MODEL | {"iteration": None, "context": None, "kv_usage": None}
    (load,) = parse_load(json.dumps({"models": {"tiny": model}})).models.values()

    assert load.iteration is None
    assert load.context is None
    assert load.kv_usage == 0.0


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"server_load": 3}', id="another server's"),
        pytest.param(b'{"models": []}', id="models as a list"),
        pytest.param(b'{"models": {"tiny": 3}}', id="a number for a load"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(json.dumps({"models": {"t": MODEL | {"running": -1}}}), id="negative"),
        pytest.param(json.dumps({"models": {"t": MODEL | {"running": "many"}}}), id="a word"),
        pytest.param(json.dumps({"models": {"t": MODEL | {"kv_usage": float("nan")}}}), id="nan"),
        pytest.param(json.dumps({"models": {"t": MODEL | {"slots": float("inf")}}}), id="inf"),
        pytest.param(b'{"models": {"t": {}}}', id="empty"),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_what_is_no_page_is_said_to_be_none(text):
    with pytest.raises(ValueError, match="expected a replica's load, got"):
        parse_load(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*PAGE, *MODEL]), inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON)
def test_any_json_is_read_or_refused(value):
    try:
        page = parse_load(json.dumps(value))
    except ValueError:
        return
    assert all(0 <= load.kv_usage <= 1 for load in page.models.values())
