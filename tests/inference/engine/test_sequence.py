import pytest

from inference.engine.sequence import FinishReason, Request, Sequence, Timings


def sequence(**fields: object) -> Sequence:
    return Sequence(Request("a", (1, 2, 3), **({"max_tokens": 3} | fields)), arrived=10.0)


def test_a_new_sequence_is_all_prompt():
    fresh = sequence()

    assert (fresh.answered, fresh.remaining, fresh.is_decoding) == (0, 3, False)


def test_a_drawn_token_is_next_to_be_computed():
    grown = sequence()
    grown.computed = 3

    assert grown.append(7) is None
    assert (grown.answered, grown.remaining, grown.is_decoding) == (1, 1, True)


def test_an_answer_ends_at_its_limit():
    grown = sequence()

    assert [grown.append(token) for token in (7, 8, 9)] == [None, None, FinishReason.LENGTH]


def test_a_stop_token_ends_an_answer():
    assert sequence(stop_tokens=frozenset({8})).append(8) is FinishReason.STOP


def test_a_stop_token_at_the_limit_is_a_stop():
    assert sequence(stop_tokens=frozenset({8}), max_tokens=1).append(8) is FinishReason.STOP


def test_stages_add_up_to_the_whole():
    timed = sequence()
    timed.joined, timed.first_token = 11.0, 13.0

    assert timed.timings(18.0) == Timings(queue=1.0, prefill=2.0, decode=5.0)
    assert timed.timings(18.0).time_to_first_token == 3.0


@pytest.mark.parametrize(("prompt", "max_tokens"), [((), 1), ((1,), 0)])
def test_a_request_for_nothing_is_refused(prompt: tuple[int, ...], max_tokens: int):
    with pytest.raises(ValueError, match="at least 1"):
        Request("a", prompt, max_tokens)
