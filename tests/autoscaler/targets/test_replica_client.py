import asyncio
import socket

import pytest
from aiohttp import web

from autoscaler.targets.replica_client import (
    Health,
    ReplicaClient,
    ReplicaRefusedError,
    ReplicaUnreachableError,
    parse_health,
)
from telemetry.lifecycle import ReplicaState

HEALTH = {"id": "a", "state": "serving", "since": 7.0, "running": 2, "waiting": 1}


@pytest.fixture
async def client():
    client = ReplicaClient("secret", timeout_seconds=0.5)
    yield client
    await client.close()


@pytest.fixture
async def serve():
    """Serve one handler on every path; returns the base URL."""
    runners = []

    async def start(handler):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runners.append(web.AppRunner(app, shutdown_timeout=0.1))
        await runners[-1].setup()
        site = web.TCPSite(runners[-1], "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runners[-1].addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


def test_health_is_read():
    assert parse_health(HEALTH) == Health("a", ReplicaState.SERVING, 7.0, 2, 1)


@pytest.mark.parametrize(
    "body", [None, [], {}, {**HEALTH, "state": "dancing"}, {**HEALTH, "running": None}], ids=str
)
def test_what_is_no_health_is_refused(body):
    with pytest.raises(ReplicaRefusedError, match="expected a replica's health"):
        parse_health(body)


async def test_a_move_carries_the_admin_key_and_the_state(client, serve):
    seen = []

    async def handler(request):
        seen.append((request.path, request.headers["Authorization"], await request.json()))
        return web.json_response({"state": "serving"})

    await client.move(await serve(handler), ReplicaState.SERVING)

    assert seen == [("/admin/lifecycle", "Bearer secret", {"state": "serving"})]


async def test_a_no_is_told_with_its_status(client, serve):
    async def handler(_):
        return web.Response(status=409, text="cannot go there")

    with pytest.raises(ReplicaRefusedError, match="409 cannot go there"):
        await client.move(await serve(handler), ReplicaState.SERVING)


async def test_silence_is_unreachable_within_the_deadline(client, serve):
    async def handler(_):
        await asyncio.sleep(30)

    with pytest.raises(ReplicaUnreachableError):
        await client.health(await serve(handler))


async def test_a_port_that_nobody_listens_on_is_unreachable(client):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    with pytest.raises(ReplicaUnreachableError):
        await client.health(url)


async def test_an_answer_that_is_no_json_is_unreachable(client, serve):
    async def handler(_):
        return web.Response(text="<html>", content_type="application/json")

    with pytest.raises(ReplicaUnreachableError):
        await client.health(await serve(handler))
