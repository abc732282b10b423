"""Whatever passengers and replicas do: each is told once, all alike, and nothing is left."""

import asyncio
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.gateway.coalescing.errors import LaggedError
from inference.gateway.coalescing.fingerprint import Fingerprint
from inference.gateway.coalescing.flights import Flights
from inference.gateway.coalescing.seat import Leader
from inference.gateway.errors import ReplicaLostError
from inference.gateway.tenancy.priority import Priority
from tests.inference.gateway.coalescing.outlets import Taker, settle, token

VERBS = [
    "join", "join", "join", "write", "write", "write", "leave", "stall", "resume", "end", "fail",
]  # fmt: skip
STEPS = st.lists(
    st.tuples(st.sampled_from(VERBS), st.integers(0, 9), st.sampled_from([0, 0, 1, 3, 10])),
    min_size=10,
    max_size=40,
)


class Computing:
    """One call of the upstream: numbers its events, and does what it finds in its queue."""

    def __init__(self, number):
        self.number = number
        self.orders = asyncio.Queue()
        self.written = []
        self.is_cancelled = False

    async def __call__(self, outlet):
        try:
            await outlet.begin({"Computing": str(self.number)})
            while (order := await self.orders.get()) == "write":
                self.written.append(token(f"{self.number}.{len(self.written)}"))
                await outlet.write([self.written[-1]], float(len(self.written)))
            if order == "fail":
                raise ReplicaLostError("lost")
            await outlet.end()
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise


class World:
    def __init__(self, limit):
        self.flights = Flights(flight_bytes=limit, now=lambda: 0.0)
        self.computings = []
        self.passengers = []  # (taker, task, has left)

    async def upstream(self, outlet):
        computing = Computing(len(self.computings))
        self.computings.append(computing)
        await computing(outlet)

    async def ride(self, key, taker):
        fingerprint = Fingerprint(bytes([key]), bytes([key]))
        with self.flights.board(
            fingerprint,
            self.upstream,
            leader=Leader("r"),
            priority=Priority.STANDARD,
            urged=lambda _priority: None,
        ) as seat:
            await seat.deliver(taker)

    async def step(self, verb, number, turns):
        if verb == "join":
            taker = Taker()
            task = asyncio.create_task(self.ride(number // 7, taker))  # mostly the same
            self.passengers.append([taker, task, False])
        elif verb in ("write", "end", "fail"):
            for computing in self.computings[-1 - number % 2 :]:
                computing.orders.put_nowait(verb)
        elif self.passengers:
            self._tell(verb, self.passengers[number % len(self.passengers)])
        await settle(turns)
        if turns == 10:
            self.check_that_nobody_is_computed_for_in_vain()

    def check_that_nobody_is_computed_for_in_vain(self):
        waiting = [task for _taker, task, _left in self.passengers if not task.done()]
        assert len(self.flights) <= len(waiting)

    def _tell(self, verb, passenger):
        if verb == "stall":
            passenger[0].is_open.clear()
        elif verb == "resume":
            passenger[0].is_open.set()
        else:
            passenger[2] = passenger[2] or not passenger[1].done()
            passenger[1].cancel()

    async def finish(self):
        for _ in range(3):
            await settle()
            for taker, _task, _left in self.passengers:
                taker.is_open.set()
            for computing in self.computings:
                computing.orders.put_nowait("end")
        for _taker, task, _left in self.passengers:
            with suppress(asyncio.CancelledError):
                await asyncio.wait_for(task, 5)
        await settle()


def check(world):
    for taker, _task, has_left in world.passengers:
        if has_left:
            continue
        assert taker.ending is not None
        if isinstance(taker.ending, LaggedError):
            continue
        computing = world.computings[int(taker.headers["Computing"])] if taker.headers else None
        if computing is None:
            assert isinstance(taker.ending, ReplicaLostError)
        else:
            assert taker.events == computing.written
            assert not computing.is_cancelled
    assert len(world.flights) == 0
    assert not world.flights._open


@settings(deadline=None, max_examples=150)
@given(STEPS, st.sampled_from([600, 100_000]))
def test_each_gets_all_of_one_answer_or_one_error_or_has_left_and_nothing_remains(steps, limit):
    async def run():
        world = World(limit)
        async with world.flights:
            for step in steps:
                await world.step(*step)
            await world.finish()
            check(world)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others

    asyncio.run(run())
