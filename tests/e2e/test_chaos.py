"""Chaos: replicas die, hang and slow down, clients leave, fleets shrink; every request still ends.

An accepted request ends in a full answer or in one clear error, once, within a bound; afterwards
nothing is left of it: no request in flight, no place in line, no task, no socket, no KV block.
"""

import asyncio
from collections.abc import Iterator

import aiohttp
import numpy as np
import pytest

from telemetry.process_table import ProcessTable
from tests.e2e.chaos_fleet import Replica, fleet
from tests.e2e.chaos_front import Front, eventually, gateway
from tests.e2e.chaos_load import FULL, Load
from tests.e2e.chaos_replicas import Replicas
from tests.inference.conftest import write_checkpoint

pytestmark = pytest.mark.e2e

STREAMS, UNARY = 8, 4
IDLE_SECONDS = 1.5  # that a replica may say nothing on a stream before it counts as lost
ROUNDS = 200
REFRESH_SECONDS = 0.01  # between two readings of the process table: rounds are short


@pytest.fixture(scope="module")
def replicas(tmp_path_factory) -> Iterator[Replicas]:
    folder = tmp_path_factory.mktemp("chaos")
    key = folder / "key"
    key.write_text("a" * 32)
    key.chmod(0o600)
    own = Replicas(folder, write_checkpoint(folder / "model"), ProcessTable(folder / "replicas"))
    for name in ("r1", "r2", "r3"):
        own.start(name)
    yield own
    own.end()


@pytest.fixture
async def front(replicas):
    await eventually("three replicas", replicas.are_serving, within=40)
    async with gateway(
        replicas.table, connect_seconds=0.5, idle_seconds=IDLE_SECONDS, unary_seconds=3.0
    ) as one:
        yield one


async def test_whatever_becomes_of_replicas_every_request_ends_once(
    replicas: Replicas, front: Front
):
    load = Load(front.url, tokens=24, bound=15.0)

    async with load.running(streams=STREAMS, unary=UNARY):
        await asyncio.sleep(0.5)
        replicas.kill("r1")
        await asyncio.sleep(0.5)
        with replicas.stopped("r2"):
            replicas.start("r1")
            await asyncio.sleep(2 * IDLE_SECONDS)
        await replicas.flicker("r3", seconds=1.5)
        await eventually("the replica that was killed", replicas.are_serving)
        replicas.kill("r2")
        replicas.start("r2")
        await asyncio.sleep(0.5)

    assert load.faults == []
    assert load.endings.total() == load.sent
    assert load.endings[FULL] >= 0.5 * load.sent, load.endings
    answered = front.total("warmfront_gateway_requests_total")
    assert answered == front.total("warmfront_gateway_arrivals_total") == load.sent
    await eventually("r2", replicas.are_serving)
    await nothing_is_left(replicas, front)

    calm = Load(front.url, tokens=8, bound=10.0)
    async with calm.running(streams=STREAMS, unary=UNARY):
        await asyncio.sleep(0.5)
    assert set(calm.endings) == {FULL}


async def test_replicas_that_are_told_to_end_let_nobody_down(replicas: Replicas, front: Front):
    load = Load(front.url, tokens=24, bound=15.0)

    async with load.running(streams=STREAMS, unary=UNARY):
        for names in (("r1", "r2"), ("r3",)):
            await asyncio.sleep(0.3)
            await asyncio.gather(*(replicas.drain(name) for name in names))
            for name in names:
                replicas.start(name)
            await eventually("those that were started anew", replicas.are_serving)

    assert load.faults == []
    assert set(load.endings) == {FULL}
    await nothing_is_left(replicas, front)


async def test_clients_that_leave_leave_nothing_behind(replicas: Replicas, front: Front):
    rng = np.random.default_rng(5)
    load = Load(front.url, tokens=200, bound=20.0)

    async with aiohttp.ClientSession() as http:
        for _ in range(6):
            moments = rng.uniform(0.0, 0.4, STREAMS + UNARY)
            async with asyncio.TaskGroup() as group:
                for number, seconds in enumerate(moments):
                    kind = number < STREAMS
                    group.create_task(leave_after(load, http, seconds, stream=kind))

    await nothing_is_left(replicas, front)
    assert front.total("warmfront_gateway_arrivals_total") == front.total(
        "warmfront_gateway_requests_total"
    )
    assert front.total("warmfront_gateway_requests_total", code="499") > STREAMS

    stayed = Load(front.url, tokens=8, bound=10.0)
    async with stayed.running(streams=STREAMS, unary=UNARY):
        await asyncio.sleep(0.3)
    assert set(stayed.endings) == {FULL}


async def test_a_fleet_that_shrinks_by_half_two_hundred_times_loses_no_request():
    async with fleet(6) as own, gateway(own.table, refresh_seconds=REFRESH_SECONDS) as front:
        load = Load(front.url, tokens=3, bound=10.0)
        async with load.running(streams=STREAMS, unary=UNARY):
            for _ in range(ROUNDS):
                started = await own.start(3)
                await eventually("work for each", lambda new=started: all_worked(new))
                await own.scale_down(3, notice_seconds=3 * REFRESH_SECONDS)

        assert load.faults == []
        assert set(load.endings) == {FULL}
        assert load.endings[FULL] == load.sent > 5 * ROUNDS
        assert own.drained_at_work > ROUNDS
        assert front.total("warmfront_gateway_requests_in_flight") == 0
        assert front.total("warmfront_gateway_requests_held") == 0
        assert not any(one.in_flight for one in own.gone + own.serving)


async def leave_after(load: Load, http, seconds: float, *, stream: bool) -> None:
    """Ask, and go when the time has come, whatever has arrived by then."""
    try:
        async with asyncio.timeout(seconds):
            await load.ask(http, stream=stream)
    except TimeoutError:
        return


def all_worked(started: list[Replica]) -> bool:
    return all(one.answered for one in started)


async def nothing_is_left(replicas: Replicas, front: Front) -> None:
    await eventually("idle replicas", lambda: is_empty(replicas.held()))
    await eventually("an idle gateway", lambda: is_quiet(front.holds(replicas.ports())))


def is_empty(held: dict[str, float]) -> bool | dict[str, float]:
    return True if not any(held.values()) else held


def is_quiet(holds: dict[str, float]) -> bool | dict[str, float]:
    """Sockets that are left are idle in the pool: never more than there were requests at once."""
    is_bounded = holds["sockets"] <= 2 * (STREAMS + UNARY)
    others = sum(value for name, value in holds.items() if name != "sockets")
    return True if is_bounded and not others else holds
