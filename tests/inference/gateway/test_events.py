import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.gateway.events import (
    LONGEST_EVENT_BYTES,
    Splitter,
    read_event,
    read_timings,
    response_attributes,
)
from inference.gateway.timeline import ReplicaTimings, Usage
from tests.inference.gateway.fake_replica import DONE, ROLE, USAGE_CHUNK, chunk, delta


@settings(deadline=None)
@given(st.lists(st.integers(0, 400), max_size=12))
def test_events_come_out_whole_and_unchanged_however_the_bytes_are_cut(cuts):
    events = [ROLE, delta("W\u00e4rm"), b": a comment\n\n", b"data: 1\r\n\r\n", USAGE_CHUNK, DONE]
    stream, splitter, found = b"".join(events), Splitter(), []
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for begin, end in pairwise(edges):
        found += splitter.feed(stream[begin:end])

    assert found == events


def test_half_an_event_waits_for_its_rest():
    splitter = Splitter()

    assert splitter.feed(b"data: 1\n\ndata: 2\n") == [b"data: 1\n\n"]
    assert splitter.feed(b"\n") == [b"data: 2\n\n"]


def test_an_event_without_end_is_a_fault():
    with pytest.raises(ValueError, match="exceeds"):
        Splitter().feed(b"x" * (LONGEST_EVENT_BYTES + 1))


@pytest.mark.parametrize(
    ("raw", "has_content"),
    [
        pytest.param(delta("x"), True, id="chat text"),
        pytest.param(delta(""), False, id="empty text"),
        pytest.param(ROLE, False, id="only the role"),
        pytest.param(chunk(choices=[{"delta": {"tool_calls": [{}]}}]), True, id="tool call"),
        pytest.param(chunk(choices=[{"text": "x"}]), True, id="completion text"),
        pytest.param(chunk(choices=[{"text": ""}]), False, id="completion end"),
        pytest.param(chunk(choices=["x", None]), False, id="odd choices"),
        pytest.param(USAGE_CHUNK, False, id="usage"),
        pytest.param(DONE, False, id="end"),
        pytest.param(b": ping\n\n", False, id="comment"),
        pytest.param(b"data: {bad\n\n", False, id="not JSON"),
        pytest.param(b"data: [1]\n\n", False, id="not an object"),
        pytest.param(b"data: " + b"[" * 200_000 + b"\n\n", False, id="absurdly nested"),
    ],
)
def test_content_is_what_a_reader_would_see(raw, has_content):
    assert read_event(raw).has_content is has_content


def test_the_usage_chunk_is_known_by_its_empty_choices():
    event = read_event(USAGE_CHUNK)

    assert event.is_usage_only
    assert event.usage == Usage(5, 3)


def test_usage_beside_content_does_not_make_a_usage_chunk():
    counts = {"prompt_tokens": 1, "completion_tokens": 1}
    event = read_event(chunk(choices=[{"delta": {"content": "x"}}], usage=counts))

    assert not event.is_usage_only
    assert event.usage == Usage(1, 1)


@pytest.mark.parametrize("usage", [None, 3, {}, {"prompt_tokens": -1, "completion_tokens": 0}])
def test_unusable_usage_is_no_usage(usage):
    assert read_event(chunk(choices=[], usage=usage)).usage is None


def test_end_and_error_are_recognised():
    assert read_event(DONE).is_done
    assert read_event(b'data: {"error": {"message": "out of memory"}}\n\n').is_error


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"id": 7, "model": None, "choices": "?"}, {}, id="malformed"),
        pytest.param({"id": "a", "choices": [{"delta": {}}]}, {"id": "a"}, id="under way"),
        pytest.param(
            {"choices": [{"finish_reason": "stop"}, {"finish_reason": "length"}, 3]},
            {"finish_reasons": ["stop", "length"]},
            id="each choice",
        ),
    ],
)
def test_an_answer_tells_who_gave_it_and_how_it_ended(body, told):
    assert response_attributes(body) == {
        f"gen_ai.response.{name}": value for name, value in told.items()
    }


@settings(deadline=None)
@given(
    st.text(max_size=40),
    st.integers(0, 30),
    st.sampled_from([None, {"prompt_tokens": 1, "completion_tokens": 2}]),
    st.sampled_from([(", ", ": "), (",", ":")]),
)
def test_the_usual_piece_is_understood_as_all_of_its_json_would_be(text, index, usage, separators):
    choice = {"index": index, "delta": {"content": text}, "finish_reason": None}
    body = {"choices": [choice], "usage": usage}
    raw = b"data: " + json.dumps(body, separators=separators).encode() + b"\n\n"
    event = read_event(raw)

    assert event.has_content == bool(text)
    assert event.choice == (index if text else 0)
    assert event.usage == (None if usage is None else Usage(1, 2))
    assert not event.is_error


@pytest.mark.parametrize(
    "text", ['"usage": {', '"error": 1', '"index": 7', '"content": "x', "a\nb", '\\"content": "']
)
def test_what_an_answer_says_is_not_mistaken_for_what_it_is(text):
    event = read_event(delta(text))

    assert event.has_content
    assert event.choice == 0
    assert event.usage is None
    assert not event.is_error


def test_a_replicas_timings_are_read_from_its_comment():
    told = b': timings {"ttft": 3, "queue": 1, "prefill": 2, "decode": 4, "device": 5}\n\n'

    assert read_event(told).timings == ReplicaTimings(1, 2, 4, encode=0, device=5)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"prefill": -1}', '{"prefill": "x"}'])
def test_timings_that_make_no_sense_are_none(text):
    assert read_timings(text) is None
