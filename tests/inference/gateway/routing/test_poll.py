"""Loads are asked over real sockets, of pages that a test chooses."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from inference.gateway.routing.choice import Reason
from inference.gateway.routing.poll import LoadPoller
from inference.gateway.routing.settings import RoutingSettings
from inference.gateway.routing.want import Want
from telemetry.clock import ManualClock
from tests.inference.gateway.routing.replicas import new_roster, record

WANT = Want("tiny", input_tokens=200, output_tokens=100)
SETTINGS = RoutingSettings(load_seconds=0.25, load_timeout_seconds=0.1)


class Page:
    """GET /load of one replica."""

    def __init__(self, **load):
        self.load = {"running": 0, "waiting": 0, "waiting_tokens": 0, "slots": 8} | load
        self.asked = 0

    async def handle(self, request):
        self.asked += 1
        return web.json_response({"models": {"tiny": self.load}})


@asynccontextmanager
async def replica(handle, id_="a"):
    """Serve one page and yield the record of its replica."""
    app = web.Application()
    app.router.add_get("/load", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield record(id_, port=runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def polling(*records, clock=None):
    """Yield a roster of the replicas, who polls it, and the clock."""
    clock = clock or ManualClock(100.0)
    roster = new_roster(clock, records)
    async with aiohttp.ClientSession() as session:
        yield roster, LoadPoller(roster, session, settings=SETTINGS, clock=clock), clock


async def test_a_replica_is_asked_once_per_period():
    page = Page()
    async with replica(page.handle) as one, polling(one) as (_, poller, clock):
        await poller.poll()
        await poller.poll()
        assert page.asked == 1
        clock.advance(0.25)
        await poller.poll()
        assert page.asked == 2


async def test_what_replicas_tell_decides_where_requests_go():
    busy, idle = Page(running=8, waiting=4, waiting_tokens=2000), Page()
    async with (
        replica(busy.handle, "a") as one,
        replica(idle.handle, "b") as other,
        polling(one, other) as (roster, poller, _),
    ):
        assert roster.choose(WANT).record.id == "a"
        await poller.poll()
        assert roster.choose(WANT).record.id == "b"


async def no_page(request):
    raise web.HTTPNotFound


async def other_page(request):
    return web.json_response({"server_load": 3})


@pytest.mark.parametrize("handle", [no_page, other_page])
async def test_a_replica_without_a_page_of_ours_is_unknown_and_seldom_asked(handle):
    async with replica(handle) as one, polling(one, record("b")) as (roster, poller, clock):
        asked = len(poller.due())
        await poller.poll()
        clock.advance(4.9)
        assert (asked, [one.id for one in poller.due()]) == (2, ["b"])
        assert roster.choose(WANT).record.id == "a"
        assert roster.choose(WANT).reason is not Reason.TWO_CHOICES


async def hang(request):
    await asyncio.Event().wait()


async def broken(request):
    raise web.HTTPInternalServerError


@pytest.mark.parametrize("handle", [hang, broken])
async def test_a_replica_that_does_not_tell_grows_stale_and_holds_up_nobody(handle):
    idle = Page()
    async with (
        replica(handle, "a") as one,
        replica(idle.handle, "b") as other,
        polling(one, other) as (roster, poller, clock),
    ):
        with capture_logs() as logs:
            for _ in range(10):
                await poller.poll()
                clock.advance(0.25)

        assert idle.asked == 10
        assert roster.choose(WANT).record.id == "b"
        assert [(log["log_level"], log["replica"]) for log in logs] == [("warning", "a")]


async def test_a_replica_is_not_asked_twice_at_once():
    entered = 0

    async def count_and_hang(request):
        nonlocal entered
        entered += 1
        await asyncio.Event().wait()

    async with (
        replica(count_and_hang) as one,
        polling(one) as (_, poller, clock),
        asyncio.TaskGroup() as group,
    ):
        tasks = poller.begin(group)
        await asyncio.sleep(0)
        clock.advance(1.0)
        assert len(tasks) == 1
        assert poller.begin(group) == []
    assert entered == 1


async def test_a_replica_that_is_gone_is_asked_no_more():
    page = Page()
    async with replica(page.handle) as one, polling(one) as (roster, poller, _):
        roster.update([])
        await poller.poll()
        assert page.asked == 0
        roster.update([one])
        await poller.poll()
        assert page.asked == 1


async def test_a_page_that_is_too_large_is_none():
    async def large(request):
        return web.Response(text=json.dumps({"models": {}, "rest": "x" * 2**17}))

    async with replica(large) as one, polling(one) as (_, poller, clock):
        await poller.poll()
        clock.advance(4.9)
        assert poller.due() == []
