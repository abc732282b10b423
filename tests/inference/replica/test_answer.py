from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.engine.sequence import FinishReason, Timings, TokenEvent
from inference.models.tokenizer import StreamDecoder, Tokenizer, load_tokenizer
from inference.replica.answer import Piece, StopStrings, pieces_of

NOW = Timings(0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def tokenizer(checkpoint) -> Tokenizer:
    return load_tokenizer(checkpoint)


async def said(
    tokenizer: Tokenizer, tokens: list[int], stops: list[str], finish: FinishReason
) -> list[Piece]:
    async def events() -> AsyncIterator[TokenEvent]:
        for at, token in enumerate(tokens):
            yield TokenEvent(token, NOW, finish if at == len(tokens) - 1 else None)

    decoder = StreamDecoder(tokenizer)
    return [piece async for piece in pieces_of(events(), decoder, StopStrings(stops))]


def push_all(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    finder, text = StopStrings(stops), ""
    for piece in pieces:
        certain, is_stopped = finder.push(piece)
        text += certain
        if is_stopped:
            return text, True
    return text + finder.finish(), False


@pytest.mark.parametrize(
    ("stops", "pieces", "text", "is_stopped"),
    [
        pytest.param([], ["ab", "c"], "abc", False, id="none"),
        pytest.param(["x"], ["ab", "c"], "abc", False, id="not said"),
        pytest.param(["b"], ["abc"], "a", True, id="within a piece"),
        pytest.param(["bc"], ["ab", "cd"], "a", True, id="across pieces"),
        pytest.param(["abcd"], ["a", "b", "c", "d"], "", True, id="across many"),
        pytest.param(["abd"], ["a", "b", "c"], "abc", False, id="begun only"),
        pytest.param(["aab"], ["a", "a", "a", "b"], "a", True, id="begun twice"),
        pytest.param(["cd", "b"], ["abcd"], "a", True, id="the first of two"),
        pytest.param(["\n\n"], ["a\n", "\nb"], "a", True, id="blank line"),
    ],
)
def test_a_stop_string_ends_the_text_before_it(
    stops: list[str],
    pieces: list[str],
    text: str,
    is_stopped: bool,  # noqa: FBT001
):
    assert push_all(stops, pieces) == (text, is_stopped)


@given(
    st.text("ab", max_size=20),
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    st.integers(1, 5),
)
def test_pieces_end_where_the_whole_text_would(text: str, stops: list[str], size: int):
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    ended, is_stopped = push_all(stops, pieces)

    assert is_stopped == any(stop in text for stop in stops)
    assert text.startswith(ended)
    assert not any(stop in ended for stop in stops)
    assert is_stopped or ended == text


async def test_text_held_back_comes_with_the_end(tokenizer: Tokenizer):
    pieces = await said(tokenizer, tokenizer.encode("abc")[1:], ["cd"], FinishReason.LENGTH)

    assert [piece.text for piece in pieces] == ["a", "b", "c"]
    assert pieces[-1].finish is FinishReason.LENGTH


async def test_a_stop_string_ends_the_answer_early(tokenizer: Tokenizer):
    pieces = await said(tokenizer, tokenizer.encode("abcdef")[1:], ["cd"], FinishReason.LENGTH)

    assert "".join(piece.text for piece in pieces) == "ab"
    assert (pieces[-1].finish, pieces[-1].tokens) == (FinishReason.STOP, 4)


async def test_a_stop_string_may_come_with_the_very_last_bytes(tokenizer: Tokenizer):
    half = tokenizer.encode("aé")[1:-1]

    pieces = await said(tokenizer, half, ["\ufffd"], FinishReason.LENGTH)

    assert "".join(piece.text for piece in pieces) == "a"
    assert pieces[-1].finish is FinishReason.STOP


async def test_the_token_that_ends_an_answer_is_no_text(tokenizer: Tokenizer):
    pieces = await said(tokenizer, tokenizer.encode("ab!")[1:], [], FinishReason.STOP)

    assert "".join(piece.text for piece in pieces) == "ab"
    assert pieces[-1].tokens == 3
