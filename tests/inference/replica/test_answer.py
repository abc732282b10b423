from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.engine.sequence import FinishReason, Timings, TokenEvent
from inference.models.tokenizer import StreamDecoder, Tokenizer, load_tokenizer
from inference.replica.answer import ChoiceText, Likely, Piece, StopStrings, pieces_of

NOW = Timings(0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def tokenizer(checkpoint) -> Tokenizer:
    return load_tokenizer(checkpoint)


def event(token: int, finish: FinishReason | None = None, **fields: object) -> TokenEvent:
    return TokenEvent(token, NOW, finish, **fields)


def answer_of(tokens: list[int], finish: FinishReason) -> list[TokenEvent]:
    return [*map(event, tokens[:-1]), event(tokens[-1], finish)]


async def told(
    tokenizer: Tokenizer,
    events: list[TokenEvent],
    stops: list[str] | None = None,
    *,
    stop_tokens: frozenset[int] = frozenset(),
    choices: int = 1,
) -> tuple[list[Piece], list[int]]:
    """The pieces, and the choices that were given up."""

    async def arriving() -> AsyncIterator[TokenEvent]:
        for one in events:
            yield one

    given_up: list[int] = []
    texts = [
        ChoiceText(StreamDecoder(tokenizer), StopStrings(stops or []), stop_tokens)
        for _ in range(choices)
    ]
    pieces = [piece async for piece in pieces_of(arriving(), texts, given_up.append)]
    return pieces, given_up


async def said(
    tokenizer: Tokenizer, tokens: list[int], stops: list[str], finish: FinishReason
) -> list[Piece]:
    return (await told(tokenizer, answer_of(tokens, finish), stops))[0]


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


async def test_a_stop_token_is_no_text(tokenizer: Tokenizer):
    tokens = tokenizer.encode("ab!")[1:]
    events = answer_of(tokens, FinishReason.STOP)

    pieces, _ = await told(tokenizer, events, stop_tokens=frozenset(tokens[-1:]))

    assert "".join(piece.text for piece in pieces) == "ab"
    assert pieces[-1].tokens == 3


async def test_the_token_that_completes_a_format_is_text(tokenizer: Tokenizer):
    pieces = await said(tokenizer, tokenizer.encode("{}")[1:], [], FinishReason.STOP)

    assert "".join(piece.text for piece in pieces) == "{}"
    assert pieces[-1].finish is FinishReason.STOP


async def test_each_choice_has_its_own_text_and_end(tokenizer: Tokenizer):
    a, b, c, d = tokenizer.encode("abcd")[1:]
    events = [
        event(a), event(c, choice=1), event(b, FinishReason.LENGTH), event(d, choice=1),
        event(a, choice=1), event(b, FinishReason.LENGTH, choice=1),
    ]  # fmt: skip

    pieces, given_up = await told(tokenizer, events, ["cd"], choices=2)

    texts = ["".join(one.text for one in pieces if one.choice == choice) for choice in (0, 1)]
    ends = [(one.choice, one.finish, one.tokens) for one in pieces if one.finish]
    assert texts == ["ab", ""]
    assert ends == [(0, FinishReason.LENGTH, 2), (1, FinishReason.STOP, 2)]
    assert given_up == [1]


async def test_a_choice_that_ends_by_itself_is_not_given_up(tokenizer: Tokenizer):
    events = answer_of(tokenizer.encode("ab")[1:], FinishReason.LENGTH)

    assert (await told(tokenizer, events, ["b"]))[1] == []


async def test_log_probabilities_come_with_the_text_they_belong_to(tokenizer: Tokenizer):
    first, second, third = tokenizer.encode("a\u00e9")[1:]
    events = [
        event(first, logprob=-1.0, top=((first, -1.0),)),
        event(second, logprob=-2.0),
        event(third, logprob=-3.0),
        event(257, FinishReason.STOP, logprob=-4.0),
    ]

    pieces, _ = await told(tokenizer, events, stop_tokens=frozenset({257}))

    assert [(piece.text, [one.logprob for one in piece.likely]) for piece in pieces] == [
        ("a", [-1.0]), ("", []), ("\u00e9", [-2.0, -3.0]), ("", []),
    ]  # fmt: skip
    assert pieces[0].likely == (Likely(first, -1.0, ((first, -1.0),)),)
