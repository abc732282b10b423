import asyncio

import aiohttp
import pytest
from aiohttp import web

from inference.gateway.api import Surroundings, build_gateway
from telemetry.catalog import GATEWAY_HELD
from telemetry.clock import SystemClock
from telemetry.publish import Metrics
from telemetry.tracing import open_tracing
from tests.inference.gateway.conftest import served
from tests.inference.gateway.fake_replica import (
    ANSWER,
    ask,
    eventually,
    hang,
)

CHAT = "/v1/chat/completions"


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def app(table, metrics):
    tracing = open_tracing("gateway", instance="test")
    given = Surroundings(table, metrics, tracing, SystemClock())
    yield build_gateway(given, models=["tiny"])
    tracing.close()


def held(metrics):
    name = GATEWAY_HELD.name
    return sum(one.value for one in metrics.samples(0.0) if one.name == name)


async def fetch(http, port):
    async with http.post(f"http://127.0.0.1:{port}{CHAT}", json=ask()) as response:
        return response.status, await response.json()


async def test_a_request_in_flight_is_finished_before_the_end(start_replica, app, http):
    proceed = asyncio.Event()

    async def slow(request, body):
        await proceed.wait()
        return web.json_response(ANSWER)

    replica = await start_replica(behave=slow)
    async with served(app, drain_seconds=10) as port:
        asking = asyncio.create_task(fetch(http, port))
        await eventually(lambda: len(replica.requests) == 1)
        asyncio.get_running_loop().call_later(0.1, proceed.set)

    assert await asking == (200, ANSWER)
    with pytest.raises(aiohttp.ClientConnectorError):
        await fetch(http, port)


async def test_the_end_does_not_wait_longer_than_its_bound(start_replica, app, http):
    replica = await start_replica(behave=hang)
    async with asyncio.timeout(5):
        async with served(app, drain_seconds=0.1) as port:
            asking = asyncio.create_task(fetch(http, port))
            await eventually(lambda: len(replica.requests) == 1)
        with pytest.raises(aiohttp.ClientError):
            await asking

    await eventually(lambda: replica.cancelled == 1)


async def test_a_gateway_that_ends_holds_nobody(app, http, metrics):
    async with asyncio.timeout(5):
        async with served(app, drain_seconds=60) as port:
            asking = [asyncio.create_task(fetch(http, port)) for _ in range(3)]
            await eventually(lambda: held(metrics) == 3)
        answers = await asyncio.gather(*asking)

    assert [status for status, _ in answers] == [503, 503, 503]
    assert "shutting down" in answers[0][1]["error"]["message"]
