"""The roster is kept fresh, and nothing that a table or a replica does ends that."""

import asyncio
from contextlib import asynccontextmanager

import numpy as np
from structlog.testing import capture_logs

from inference.gateway.routing.meters import RoutingMeters
from inference.gateway.routing.refresh import Refresher
from inference.gateway.routing.roster import Roster
from inference.gateway.routing.settings import RoutingSettings
from inference.gateway.routing.want import Want
from telemetry.catalog import GATEWAY_LOAD_AGE, GATEWAY_ROSTER_ERRORS
from telemetry.clock import ManualClock, SystemClock
from telemetry.publish import Metrics
from tests.inference.gateway.fake_replica import eventually
from tests.inference.gateway.routing.replicas import new_roster, record
from tests.inference.gateway.routing.test_poll import Page, replica


class BreakingTable:
    """A table that can be made unreadable."""

    is_broken = False

    def __init__(self, *records):
        self.rows = list(records)
        self.reads = 0

    def records(self):
        self.reads += 1
        if self.is_broken:
            raise PermissionError("not yours")
        return list(self.rows)


def refresher(table, *, clock=None, roster=None, **settings):
    clock, metrics, introduced = clock or ManualClock(), Metrics(), []
    roster = roster or new_roster(clock, metrics=metrics)
    one = Refresher(
        table,
        roster,
        RoutingMeters(metrics),
        introduce=introduced.append,
        clock=clock,
        settings=RoutingSettings(**settings),
    )
    return one, roster, metrics, introduced


@asynccontextmanager
async def running(table, *, roster=None):
    one, roster, metrics, _ = refresher(
        table, roster=roster, clock=SystemClock(), refresh_seconds=0.005, load_seconds=0.01
    )
    async with one.running():
        yield roster, metrics


async def test_the_last_reading_holds_while_the_table_cannot_be_read():
    table = BreakingTable(record("a"))
    one, roster, metrics, _ = refresher(table)
    await one.refresh()

    table.is_broken = True
    await one.refresh()
    await one.refresh()

    assert roster.serving("tiny") == 1
    assert metrics.counter(GATEWAY_ROSTER_ERRORS)._value.get() == 2


async def test_models_are_introduced_once():
    one, _, _, introduced = refresher(BreakingTable(record("a"), record("b", model="other")))
    await one.refresh()
    await one.refresh()

    assert introduced == ["other", "tiny"]


async def test_it_is_fresh_on_entering_and_goes_on():
    page = Page(running=1)
    async with replica(page.handle) as served:
        table = BreakingTable(served)
        async with running(table) as (roster, metrics):
            assert roster.serving("tiny") == 1
            assert page.asked == 1
            await eventually(lambda: page.asked >= 3)
            await eventually(lambda: GATEWAY_LOAD_AGE.name in metrics.render()[0].decode())
            table.rows = []
            await eventually(lambda: roster.serving("tiny") == 0)
        reads = table.reads
        await asyncio.sleep(0.02)

    assert table.reads == reads


async def test_a_table_that_breaks_and_is_mended_is_read_again():
    table = BreakingTable()
    async with running(table) as (roster, _):
        table.is_broken, table.rows = True, [record("a")]
        reads = table.reads
        await eventually(lambda: table.reads >= reads + 3)
        assert roster.serving("tiny") == 0
        table.is_broken = False
        await eventually(lambda: roster.serving("tiny") == 1)


async def test_who_is_told_of_room_and_fails_does_not_end_it():
    page = Page()
    async with replica(page.handle) as served, running(BreakingTable(served)) as (roster, _):

        def fail():
            raise RuntimeError

        roster.on_room(fail)
        asked = page.asked
        await eventually(lambda: page.asked >= asked + 3)
        assert roster.has_room(Want("tiny"))


async def test_a_replica_that_cannot_be_shown_does_not_end_it():
    class Unshowable(Roster):
        def show(self):
            raise RuntimeError

    clock, page = SystemClock(), Page()
    roster = Unshowable(
        [], clock=clock, meters=RoutingMeters(Metrics()), rng=np.random.default_rng(0)
    )
    async with replica(page.handle) as served:
        table = BreakingTable(served)
        with capture_logs() as logs:
            async with running(table, roster=roster):
                asked = page.asked
                await eventually(lambda: page.asked >= asked + 3)

    assert [log["event"] for log in logs] == ["the loads of the replicas cannot be followed"]
