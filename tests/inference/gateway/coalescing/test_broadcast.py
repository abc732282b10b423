import asyncio

import pytest

from inference.gateway.coalescing.answer import size_of
from inference.gateway.coalescing.broadcast import Broadcast
from inference.gateway.coalescing.reader import Reader
from inference.gateway.errors import GatewayError, ReplicaLostError
from inference.gateway.outlet import Whole
from tests.inference.gateway.coalescing.outlets import (
    DONE,
    TIMINGS,
    USAGE,
    WHOLE,
    Taker,
    error_event,
    settle,
    token,
    usage_event,
)

SHARED = {"X": "shared"}
ROOM = 3 * size_of([token()])


class Closing:
    def __init__(self):
        self.broadcast = None
        self.seen = []

    def __call__(self):
        self.seen.append(self.broadcast.is_over)


def broadcast(limit=10_000):
    closing = Closing()
    closing.broadcast = Broadcast(limit=limit, closing=closing)
    return closing.broadcast, closing


def play(to, taker, *, since=0.0, headers=None):
    return asyncio.create_task(Reader(to, since=since, headers=headers).play(taker))


async def test_who_comes_late_gets_all_from_the_beginning_and_then_what_comes():
    cast, _closing = broadcast()
    await cast.begin({"A": "1"})
    await cast.write([token("a")], 1.0)
    await cast.write([token("b")], 2.0)
    late = Taker()
    playing = play(cast, late, since=5.0)
    await settle()

    assert late.writes == [([token("a"), token("b")], 5.0)]

    await cast.write([token("c")], 6.0)
    await cast.end()

    assert await playing
    assert late.writes[1:] == [([token("c")], 6.0)]
    assert late.headers == {"A": "1"}
    assert late.begins == 1


async def test_who_leads_has_each_piece_at_its_own_time():
    cast, _closing = broadcast()
    await cast.begin({})
    await cast.write([token("a")], 1.0)
    await cast.write([token("b")], 2.0)
    await cast.end()
    leading = Taker()

    await play(cast, leading)

    assert [at for _events, at in leading.writes] == [1.0, 2.0]


async def test_who_shares_is_told_so_and_not_given_the_timings_of_another():
    cast, _closing = broadcast()
    await cast.begin({"A": "1"})
    await cast.write([TIMINGS], 1.0)
    await cast.write([token(), TIMINGS], 2.0)
    await cast.end()
    own, shared = Taker(), Taker()

    await play(cast, own)
    await play(cast, shared, headers=SHARED)

    assert own.events == [TIMINGS, token(), TIMINGS]
    assert shared.events == [token()]
    assert shared.headers == {"A": "1", "X": "shared"}


async def test_a_whole_answer_reaches_everybody():
    cast, _closing = broadcast()
    own, shared = Taker(), Taker()
    playing = [play(cast, own), play(cast, shared, headers=SHARED)]
    await settle()
    await cast.whole(WHOLE)

    assert await asyncio.gather(*playing) == [True, True]
    assert own.ending is WHOLE
    assert shared.ending.body == WHOLE.body
    assert shared.ending.headers == {**WHOLE.headers, "X": "shared"}
    assert cast.usage == USAGE


async def test_an_empty_stream_is_a_stream():
    cast, _closing = broadcast()
    await cast.begin({"A": "1"})
    await cast.end()
    taker = Taker()

    assert await play(cast, taker)
    assert (taker.headers, taker.ending) == ({"A": "1"}, "end")


async def test_an_error_reaches_everybody_after_what_came_before_it():
    cast, _closing = broadcast()
    await cast.begin({})
    await cast.write([token()], 1.0)
    early, late = Taker(), Taker()
    playing = [play(cast, early)]
    await settle()
    error = ReplicaLostError("lost")
    await cast.fail(error)
    playing.append(play(cast, late, headers=SHARED))

    assert await asyncio.gather(*playing) == [False, False]
    for taker in (early, late):
        assert taker.events == [token()]
        assert taker.ending is error


async def test_until_events_have_come_another_head_may_replace_the_first():
    cast, _closing = broadcast()
    await cast.begin({"A": "1"})
    assert not cast.is_begun
    await cast.begin({"A": "2"})
    await cast.write([token()], 1.0)
    assert cast.is_begun
    await cast.begin({"A": "3"})

    assert cast.headers == {"A": "2"}


async def test_what_comes_after_the_end_is_no_part_of_it():
    cast, closing = broadcast()
    error = GatewayError("first")
    await cast.fail(error)
    await cast.begin({})
    await cast.write([token()], 1.0)
    await cast.end()
    taker = Taker()
    await play(cast, taker)

    assert taker.ending is error
    assert taker.events == []
    assert closing.seen == [True]


async def test_nobody_can_join_once_it_is_over():
    cast, closing = broadcast()
    taker = Taker()
    playing = play(cast, taker)
    await settle()
    await cast.begin({})
    await cast.write([token()], 1.0)
    assert closing.seen == []
    await cast.end()

    assert closing.seen == [True]
    assert taker.ending is None  # it is told only after that
    await playing


async def test_the_last_event_is_the_end_even_before_the_connection_is_closed():
    cast, closing = broadcast()
    taker = Taker()
    await cast.begin({})
    await cast.write([usage_event(), DONE], 1.0)

    assert await play(cast, taker)
    assert (taker.events, taker.ending) == ([usage_event(), DONE], "end")
    assert cast.usage == USAGE
    await cast.end()
    assert closing.seen == [True]


async def test_nobody_can_join_what_told_an_error_within_its_stream():
    cast, closing = broadcast()
    await cast.begin({})
    await cast.write([error_event()], 1.0)
    assert closing.seen == [False]
    await cast.end()

    assert not cast.is_success
    assert cast.answer is None


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda cast: cast.fail(GatewayError("x")), id="failed"),
        pytest.param(lambda cast: cast.whole(Whole(400, b"")), id="refused"),
        pytest.param(lambda cast: cast.begin({}), id="not over"),
    ],
)
async def test_what_is_no_success_is_not_kept(spoil):
    cast, _closing = broadcast()
    await spoil(cast)

    assert cast.answer is None


async def test_a_success_is_kept_whole():
    cast, _closing = broadcast()
    await cast.begin({"A": "1"})
    await cast.write([token()], 1.0)
    await cast.write([usage_event(), DONE], 1.0)
    await cast.end()

    assert cast.answer.events == (token(), usage_event(), DONE)
    assert cast.answer.headers == {"A": "1"}
    assert cast.usage == USAGE


async def write_many(cast, number):
    await cast.begin({})
    for one in range(number):
        await cast.write([token()], float(one))
    await cast.end()


async def test_a_slow_reader_holds_nobody_up():
    cast, _closing = broadcast()
    slow, fast = Taker(), Taker()
    slow.is_open.clear()
    playing = [play(cast, slow), play(cast, fast)]
    await write_many(cast, 20)

    assert await playing[1]
    assert len(fast.events) == 20
    slow.is_open.set()
    assert await playing[0]
    assert slow.events == fast.events


async def test_a_long_answer_is_closed_to_others_but_reaches_who_reads_it():
    cast, closing = broadcast(limit=ROOM)
    taker = Taker()
    playing = play(cast, taker)
    await write_many(cast, 20)

    assert await playing
    assert len(taker.events) == 20
    assert closing.seen[0] is False
    assert len(cast._pieces) <= 3
    assert cast.answer is None


async def test_a_reader_that_is_alone_slows_the_writer_down():
    cast, _closing = broadcast(limit=ROOM)
    taker = Taker()
    taker.is_open.clear()
    playing, writing = play(cast, taker), asyncio.create_task(write_many(cast, 20))
    await settle(60)

    assert not writing.done()
    assert len(cast._pieces) == 4  # what there is room for, and the one that waits

    taker.is_open.set()
    await writing
    assert await playing
    assert len(taker.events) == 20


async def test_a_reader_that_falls_back_too_far_is_told_and_the_others_go_on():
    cast, _closing = broadcast(limit=ROOM)
    slow, fast = Taker(), Taker()
    slow.is_open.clear()
    playing = [play(cast, slow), play(cast, fast)]
    await write_many(cast, 20)
    slow.is_open.set()

    assert await asyncio.gather(*playing) == [False, True]
    assert len(fast.events) == 20
    assert slow.ending.code == "client_too_slow"


async def test_a_reader_that_leaves_no_longer_sets_the_pace():
    cast, _closing = broadcast(limit=ROOM)
    slow, fast = Taker(), Taker()
    slow.is_open.clear()
    fast.is_open.clear()
    gone = Reader(cast, since=0.0, headers=None)
    playing = play(cast, slow)
    writing = asyncio.create_task(write_many(cast, 20))
    await settle(60)
    gone.leave()
    slow.is_open.set()
    await writing

    assert await playing
