import numpy as np
import pytest

from inference.engine.sequence import (
    FinishReason,
    PromptImage,
    Request,
    Sequence,
    Timings,
    sequences_of,
)


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
    assert Timings(1.0, 2.0, 5.0, encode=0.5).time_to_first_token == 3.5


def test_device_time_counts_from_joining_the_batch():
    timed = sequence()
    assert timed.timings(18.0, 40.0).device == 0.0

    timed.device_joined = 30.0
    assert timed.timings(18.0, 40.0).device == 10.0


@pytest.mark.parametrize(("prompt", "max_tokens"), [((), 1), ((1,), 0)])
def test_a_request_for_nothing_is_refused(prompt: tuple[int, ...], max_tokens: int):
    with pytest.raises(ValueError, match="at least 1"):
        Request("a", prompt, max_tokens)


@pytest.mark.parametrize("priority", [2**31, -(2**31), 10**400])
def test_priorities_are_numbers_that_can_be_compared_with_time(priority: int):
    with pytest.raises(ValueError, match="expected a priority"):
        Request("a", (1,), 1, priority=priority)


def image(start: int, tokens: int = 2) -> PromptImage:
    return PromptImage(start, b"i", np.zeros((tokens, 4), np.float32))


@pytest.mark.parametrize(
    "images",
    [
        pytest.param((image(-1),), id="before the prompt"),
        pytest.param((image(4),), id="over its end"),
        pytest.param((image(1), image(2)), id="over each other"),
        pytest.param((image(3), image(0)), id="out of order"),
        pytest.param((image(1, tokens=0),), id="of no tokens"),
    ],
)
def test_images_stand_in_the_prompt_one_after_the_other(images: tuple[PromptImage, ...]):
    with pytest.raises(ValueError, match="an image stands at"):
        Request("a", (1, 2, 3, 4, 5), 1, images=images)


def test_choices_know_each_other():
    first, second, third = sequences_of(Request("a", (1,), 1, choices=3), 0.0)

    assert [one.choice for one in (first, second, third)] == [0, 1, 2]
    assert second.siblings == (first, third)


def test_a_token_that_completes_the_answer_is_a_stop():
    assert sequence().append(8, ends=True) is FinishReason.STOP
