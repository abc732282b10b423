import asyncio

import pytest

from inference.engine.errors import DrawError
from inference.engine.sequence import FinishReason, Request, Timings, TokenEvent, sequences_of
from inference.engine.stream import Stream

TIMINGS = Timings(0.0, 0.0, 0.0)


def stream(choices: int = 1) -> Stream:
    return Stream(sequences_of(Request("a", (1,), 9, choices=choices), 0.0))


def token(number: int, choice: int = 0, *, ends: bool = False) -> TokenEvent:
    return TokenEvent(number, TIMINGS, FinishReason.STOP if ends else None, choice)


async def tokens_of(one: Stream) -> list[int]:
    said = []
    async with asyncio.timeout(5.0):
        while (event := await one.next()) is not None:
            said.append(event.token)
    return said


async def test_a_stream_ends_with_its_last_choice():
    one = stream(choices=2)
    for event in (token(1), token(2, 1, ends=True), token(3, ends=True)):
        assert not one.is_over
        one.put(event)

    assert one.is_over
    assert await tokens_of(one) == [1, 2, 3]


def test_what_choices_share_is_to_be_computed_once():
    sequences = sequences_of(Request("a", (1, 2, 3, 4), 9, choices=2), 0.0)
    one = Stream(sequences)
    assert one.remaining == 4

    sequences[0].computed = 3
    sequences[1].computed = 1
    assert one.remaining == 3
    for sequence in sequences:
        sequence.computed = 4
        sequence.append(7)
    assert one.remaining == 0  # they decode
    sequences[0].computed = 0  # preempted: the token of its answer, too, comes again
    assert one.remaining == 5


async def test_tokens_of_a_dropped_choice_are_lost():
    one = stream(choices=2)
    one.put(token(1, choice=1))
    assert one.drop(1) is not None
    assert one.drop(1) is None
    one.put(token(2, choice=1))
    one.put(token(3, ends=True))

    assert await tokens_of(one) == [3]


async def test_who_waits_for_a_choice_that_is_dropped_waits_no_longer():
    one = stream()
    waiting = asyncio.create_task(tokens_of(one))
    await asyncio.sleep(0)
    one.drop(0)

    assert await waiting == []


async def test_an_error_comes_after_what_was_said_before_it():
    one = stream(choices=2)
    one.put(token(1))
    one.fail(DrawError("stuck"))

    assert one.is_over
    assert (await one.next()).token == 1
    with pytest.raises(DrawError, match="stuck"):
        await one.next()
