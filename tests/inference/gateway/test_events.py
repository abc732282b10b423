from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.gateway.events import LONGEST_EVENT_BYTES, Splitter, read_event
from inference.gateway.timeline import Usage
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
