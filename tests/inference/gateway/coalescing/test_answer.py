from dataclasses import replace

from inference.gateway.coalescing.answer import Answer, given_again
from inference.gateway.timeline import ReplicaTimings
from tests.inference.gateway.coalescing.outlets import (
    DONE,
    TIMINGS,
    USAGE,
    WHOLE,
    Taker,
    token,
    usage_event,
)

STREAM = Answer(headers={"A": "1"}, events=(token("a"), usage_event(), TIMINGS, DONE))


async def test_a_stream_is_given_again_as_a_stream():
    taker = Taker()

    await STREAM.deliver(taker, at=7.0, headers={"Age": "2"})

    assert taker.headers == {"A": "1", "Age": "2"}
    assert taker.writes == [([token("a"), usage_event(), DONE], 7.0)]
    assert taker.ending == "end"


async def test_an_answer_in_one_piece_is_given_again_in_one_piece():
    taker = Taker()

    await Answer(WHOLE).deliver(taker, at=7.0, headers={"Age": "2"})

    assert taker.ending.body == WHOLE.body
    assert taker.ending.headers == {**WHOLE.headers, "Age": "2"}


def test_an_answer_tells_its_tokens():
    assert STREAM.usage == USAGE
    assert Answer(WHOLE).usage == USAGE
    assert Answer(events=(token(),)).usage is None


def test_the_size_of_an_answer_is_at_least_that_of_its_bytes():
    assert Answer(WHOLE).size == len(WHOLE.body)
    assert STREAM.size > sum(len(event.raw) for event in STREAM.events)


def test_the_timings_of_a_replica_are_not_those_of_who_gets_the_answer_again():
    timed = replace(WHOLE, timings=ReplicaTimings(1, 1, 1), first_token=5.0)

    assert given_again(timed, at=4.0, headers={}).timings is None
    assert given_again(timed, at=4.0, headers={}).first_token == 5.0


def test_nobody_has_a_token_before_it_asked():
    assert given_again(replace(WHOLE, first_token=5.0), at=6.0, headers={}).first_token == 6.0
