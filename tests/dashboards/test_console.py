import asyncio
import threading
from dataclasses import dataclass, field, replace

import pytest

from dashboards.console.console import Console, ConsoleError
from dashboards.console.feeds import Feeds
from dashboards.console.sections import Demand, Unavailable
from telemetry.clock import ManualClock
from telemetry.store import StoreUnavailableError


@dataclass
class CountingReader:
    """An empty store that counts how often it is asked, and can be made slow or broken."""

    asked: int = 0
    error: Exception | None = None
    gate: threading.Event | None = None
    threads: set[int] = field(default_factory=set)

    def latest(self, selector, *, at, within):
        self._ask()
        return []

    def gauge(self, selector, window):
        self._ask()
        return []

    def increase(self, selector, window):
        self._ask()
        return []

    def _ask(self) -> None:
        self.asked += 1
        self.threads.add(threading.get_ident())
        if self.gate is not None:
            self.gate.wait(10)
        if self.error is not None:
            raise self.error


@pytest.fixture
def clock():
    return ManualClock(1000.0)


def console_of(reader, world, clock, **options) -> Console:
    return Console(reader, settings=world.settings, clock=clock, **options)


async def test_an_empty_store_is_shown_as_gaps_and_never_as_zeros(world, clock):
    shown = await console_of(CountingReader(), world, clock).snapshot()

    assert isinstance(shown.demand, Demand)
    assert shown.demand.now is None
    assert set(shown.demand.rate) == {None}
    assert shown.gpus == ()
    assert shown.forecast is None
    assert shown.problems == ()


async def test_ten_who_look_at_once_cost_one_reading_off_the_event_loop(world, clock):
    reader = CountingReader()
    console = console_of(reader, world, clock)

    await console.snapshot()
    once = reader.asked
    shown = await asyncio.gather(*(console.snapshot() for _ in range(10)))

    assert reader.asked == once
    assert len({id(one) for one in shown}) == 1
    assert threading.get_ident() not in reader.threads


async def test_those_who_ask_during_a_reading_share_it(world, clock):
    reader = CountingReader(gate=threading.Event())
    console = console_of(reader, world, clock)
    asking = [asyncio.create_task(console.snapshot()) for _ in range(5)]
    await asyncio.sleep(0.01)

    reader.gate.set()
    shown = await asyncio.gather(*asking)

    assert len({id(one) for one in shown}) == 1


@pytest.mark.parametrize(
    ("later", "is_new"),
    [pytest.param(0.39, False, id="fresh"), pytest.param(0.41, True, id="old")],
)
async def test_a_snapshot_is_reused_for_a_fraction_of_a_second(world, clock, later, is_new):
    console = console_of(CountingReader(), world, clock, reuse_seconds=0.4)
    first = await console.snapshot()

    clock.advance(later)

    assert is_new == ((await console.snapshot()) is not first)


async def test_a_clock_that_is_set_back_does_not_freeze_the_console(world, clock):
    console = console_of(CountingReader(), world, clock)
    await console.snapshot()

    clock.advance(-500)

    assert (await console.snapshot()).at == 500.0


async def test_a_store_that_cannot_be_asked_leaves_the_feeds_standing(world, clock):
    reader = CountingReader(error=StoreUnavailableError("the disk is gone"))
    console = console_of(reader, world, clock, feeds=world.feeds)

    shown = await console.snapshot()

    assert shown.demand == Unavailable("the disk is gone")
    assert len(shown.decisions) == 6
    assert shown.forecast is not None
    assert len(shown.problems) == 1
    assert "the disk is gone" in shown.problems[0]


async def test_a_feed_that_fails_leaves_the_others_standing(world, clock):
    def broken(*_):
        raise OSError("the ledger is locked")

    feeds = replace(world.feeds, decisions=broken, forecast=broken)
    shown = await console_of(CountingReader(), world, clock, feeds=feeds).snapshot()

    assert shown.decisions == Unavailable("the ledger is locked")
    assert shown.forecast == Unavailable("the ledger is locked")
    assert len(shown.fleet) == 4


async def test_a_malformed_row_is_named(world, clock):
    feeds = Feeds(fleet=lambda: [{"id": "r1"}])

    shown = await console_of(CountingReader(), world, clock, feeds=feeds).snapshot()

    assert isinstance(shown.fleet, Unavailable)
    assert "state" in shown.fleet.unavailable


async def test_a_store_that_hangs_is_said_and_then_forgiven(world, clock):
    reader = CountingReader(gate=threading.Event())
    console = console_of(reader, world, clock, deadline_seconds=0.05)

    with pytest.raises(ConsoleError, match=r"has not answered for 0\.05 s"):
        await console.snapshot()
    reader.gate.set()
    await console.close()

    assert (await console.snapshot()).at == 1000.0


async def test_closing_before_anyone_looked_is_fine(world, clock):
    await console_of(CountingReader(), world, clock).close()
