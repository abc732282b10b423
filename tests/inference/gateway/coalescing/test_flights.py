import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from inference.gateway.coalescing.errors import KeyReusedError
from inference.gateway.coalescing.fingerprint import Fingerprint
from inference.gateway.coalescing.flights import Flights
from inference.gateway.coalescing.seat import Leader, Source
from inference.gateway.errors import NoReplicaError, OverloadedError, ReplicaLostError
from inference.gateway.tenancy.priority import Priority
from tests.inference.gateway.coalescing.outlets import (
    DONE,
    WHOLE,
    BrokenTaker,
    Script,
    Taker,
    settle,
    token,
)

SAME = Fingerprint(b"same", b"body")


class Stand:
    """Flights, and requests that board them in tasks of their own."""

    def __init__(self, flights):
        self.flights = flights
        self.landed = []
        self.urgings = []
        self.seats = {}

    def board(self, taker, upstream, name="r", *, fingerprint=SAME, priority=Priority.STANDARD):
        return asyncio.create_task(self._board(taker, upstream, name, fingerprint, priority))

    async def _board(self, taker, upstream, name, fingerprint, priority):
        with self.flights.board(
            fingerprint,
            upstream,
            leader=Leader(name),
            priority=priority,
            urged=self.urgings.append,
        ) as seat:
            self.seats[name] = seat
            await seat.deliver(taker)


@asynccontextmanager
async def open_stand(flight_bytes=100_000):
    landed = []
    flights = Flights(
        flight_bytes=flight_bytes, now=lambda: 9.0, landed=lambda *one: landed.append(one)
    )
    async with flights:
        stand = Stand(flights)
        stand.landed = landed
        yield stand
    assert len(flights) == 0
    assert not flights._open


async def leave(task):
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_equal_requests_are_computed_once_and_answered_alike():
    async with open_stand() as stand:
        script, first, second = Script(), Taker(), Taker()
        tasks = [stand.board(first, script, "one"), stand.board(second, Script(), "two")]
        await script.begins(A="1")
        await script.writes(token("a"))
        await script.writes(token("b"), at=1.0)
        third = Taker()
        tasks.append(stand.board(third, Script(), "three"))
        await script.writes(token("c"), at=2.0)
        await script.ends()
        await asyncio.gather(*tasks)

        assert first.events == second.events == third.events == [token(one) for one in "abc"]
        assert first.headers == {"A": "1"}
        assert second.headers == third.headers == {"A": "1", "X-Warmfront-Coalesced": "follower"}
        assert script.calls == 1
        assert [one.source for one in stand.seats.values()] == [
            Source.OWN, Source.FLIGHT, Source.FLIGHT,
        ]  # fmt: skip
        assert stand.seats["one"].leader is None
        assert stand.seats["three"].leader == Leader("one")


async def test_other_requests_fly_by_themselves():
    async with open_stand() as stand:
        one, other = Script(), Script()
        tasks = [
            stand.board(Taker(), one),
            stand.board(Taker(), other, fingerprint=Fingerprint(b"other", b"body")),
        ]
        await settle()
        assert (one.calls, other.calls) == (1, 1)
        for task in tasks:
            await leave(task)


async def test_a_leader_that_leaves_cancels_nothing_while_another_is_aboard():
    async with open_stand() as stand:
        script, taker = Script(), Taker()
        leading = stand.board(Taker(), script)
        following = stand.board(taker, Script())
        await script.begins()
        await script.writes(token("a"))
        await leave(leading)
        await script.writes(token("b"))
        await script.ends()
        await following

        assert taker.events == [token("a"), token("b")]
        assert not script.is_cancelled


async def test_a_follower_that_leaves_disturbs_nobody():
    async with open_stand() as stand:
        script, taker = Script(), Taker()
        leading, following = stand.board(taker, script), stand.board(Taker(), Script())
        await script.begins()
        await leave(following)
        await script.writes(token())
        await script.ends()
        await leading

        assert taker.ending == "end"


async def test_when_the_last_one_leaves_computing_stops_at_once():
    async with open_stand() as stand:
        script = Script()
        tasks = [stand.board(Taker(), script), stand.board(Taker(), Script())]
        await script.begins()
        await script.writes(token())
        for task in tasks:
            assert not script.is_cancelled
            await leave(task)
        await settle()

        assert script.is_cancelled
        assert len(stand.flights) == 0
        assert stand.landed == []


async def test_after_all_have_left_an_equal_request_starts_anew():
    async with open_stand() as stand:
        first, second, taker = Script(), Script(), Taker()
        task = stand.board(Taker(), first)
        await first.begins()
        await leave(task)
        task = stand.board(taker, second)
        await second.does(lambda outlet: outlet.whole(WHOLE))
        await task

        assert taker.ending is WHOLE


async def test_a_client_whose_connection_is_lost_has_left():
    async with open_stand() as stand:
        script, taker = Script(), Taker()
        leading, following = stand.board(BrokenTaker(), script), stand.board(taker, Script())
        await script.begins()
        await script.writes(token())
        with pytest.raises(ConnectionResetError):
            await leading
        await script.ends()
        await following

        assert taker.ending == "end"


@pytest.mark.parametrize("events", [0, 1])
@pytest.mark.parametrize("error", [OverloadedError("full"), ReplicaLostError("lost")])
async def test_an_error_reaches_all_and_the_next_request_starts_anew(events, error):
    async with open_stand() as stand:
        script, takers = Script(), [Taker(), Taker()]
        tasks = [stand.board(taker, script) for taker in takers]
        for _ in range(events):
            await script.begins()
            await script.writes(token())
        script.raises(error)
        await asyncio.gather(*tasks)

        assert [taker.ending for taker in takers] == [error, error]
        assert [len(taker.events) for taker in takers] == [events, events]
        assert not stand.flights._open
        assert stand.landed == []


async def test_a_fault_of_ours_is_logged_and_told_in_our_words():
    async with open_stand() as stand:
        script, taker = Script(), Taker()
        task = stand.board(taker, script, "one")
        with capture_logs() as logs:
            script.raises(KeyError("inner secret"))
            await task

        assert taker.ending.status == 500
        assert "secret" not in str(taker.ending)
        assert [(log["event"], log["request_id"]) for log in logs] == [
            ("shared request failed", "one")
        ]


async def test_an_upstream_that_ends_without_an_answer_leaves_nobody_waiting():
    async with open_stand() as stand:
        script, taker = Script(), Taker()
        task = stand.board(taker, script)
        script.returns()
        await task

        assert taker.ending.status == 500


async def test_an_upstream_that_is_cancelled_from_within_leaves_nobody_waiting():
    async with open_stand() as stand:
        script, taker = Script(), Taker()
        task = stand.board(taker, script)
        script.raises(asyncio.CancelledError())
        await task

        assert taker.ending.status == 500


async def test_no_flight_outlives_its_answer():
    async with open_stand() as stand:
        script, other, taker = Script(), Script(), Taker()
        taker.is_open.clear()
        task = stand.board(taker, script)
        await script.begins()
        await script.writes(token())
        await script.ends()
        second = stand.board(Taker(), other)
        await settle()

        assert other.calls == 1
        assert len(stand.landed) == 1
        taker.is_open.set()
        await task
        await leave(second)


async def test_who_has_the_whole_answer_and_leaves_cuts_off_nothing():
    async with open_stand() as stand:
        script, taker = Script(), Taker()
        task = stand.board(taker, script)
        await script.does(lambda outlet: outlet.whole(WHOLE))
        await task
        assert len(stand.flights) == 1  # it still has to close its connection
        script.returns()
        await settle()

        assert not script.is_cancelled
        assert len(stand.flights) == 0


async def test_a_client_that_hangs_up_after_the_last_event_cuts_off_nothing():
    async with open_stand() as stand:
        script, taker = Script(), Taker()
        task = stand.board(taker, script)
        await script.begins()
        await script.writes(token(), DONE)
        await leave(task)
        await settle()

        assert not script.is_cancelled
        assert len(stand.landed) == 1
        await script.ends()
        await settle()


async def test_what_is_too_long_to_be_kept_is_joined_by_nobody():
    async with open_stand(flight_bytes=300) as stand:
        script, other = Script(), Script()
        task = stand.board(Taker(), script)
        await script.begins()
        await script.writes(token())
        await script.writes(token())
        second = stand.board(Taker(), other)
        await settle()

        assert other.calls == 1
        await leave(second)
        await script.ends()
        await task
        assert stand.landed == []


async def test_a_key_that_stands_for_another_request_is_refused():
    async with open_stand() as stand:
        script, taker = Script(), Taker()
        task = stand.board(taker, script)
        await script.begins()
        with pytest.raises(KeyReusedError):
            await stand.board(Taker(), Script(), fingerprint=Fingerprint(b"same", b"other"))
        await script.ends()
        await task

        assert taker.ending == "end"


async def test_who_is_more_urgent_urges_the_flight_on():
    async with open_stand() as stand:
        script = Script()
        tasks = [
            stand.board(Taker(), script, priority=priority)
            for priority in (
                Priority.BATCH, Priority.BATCH, Priority.INTERACTIVE, Priority.STANDARD,
            )
        ]  # fmt: skip
        await settle()

        assert stand.urgings == [Priority.INTERACTIVE]
        for task in tasks:
            await leave(task)


@pytest.mark.parametrize("events", [0, 1])
async def test_when_the_gateway_closes_those_aboard_are_told_to_come_again(events):
    async with open_stand() as stand:
        script, takers = Script(), [Taker(), Taker()]
        tasks = [stand.board(taker, script) for taker in takers]
        await settle()
        for _ in range(events):
            await script.begins()
            await script.writes(token())
        await stand.flights.close()

        assert script.is_cancelled
        await asyncio.gather(*tasks)
        for taker in takers:
            assert isinstance(taker.ending, NoReplicaError)
            assert taker.ending.retry_after is not None
            assert len(taker.events) == events
        with pytest.raises(NoReplicaError):
            await stand.board(Taker(), Script())


async def test_who_boards_and_leaves_before_anything_ran_starts_nothing():
    async with open_stand() as stand:
        script = Script()
        with stand.flights.board(
            SAME, script, leader=Leader("r"), priority=Priority.BATCH, urged=stand.urgings.append
        ):
            pass
        await settle()

        assert script.calls == 0
        assert len(stand.flights) == 0
