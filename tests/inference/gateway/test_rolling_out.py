"""A rollout as its clients and its operator see it: through the gateway, over HTTP."""

import asyncio
from collections import Counter

import pytest
from aiohttp import web

from inference.gateway.rollout.settings import RolloutSettings
from tests.inference.gateway.fake_replica import answer, ask, eventually

CHAT = "/v1/chat/completions"
KEY = "an-admin-key-of-a-test"
ADMIN = {"Authorization": f"Bearer {KEY}"}
PLAN = {
    "model": "tiny", "stable": "v1", "canary": "v2", "steps": [0.5, 1.0],
    "step_seconds": 0.2, "min_requests": 10,
}  # fmt: skip


async def fail(request, body):
    return web.json_response({"error": {"message": "broken"}}, status=500)


@pytest.fixture
def start(start_replica, start_gateway):
    async def start(*, canary=answer):
        await start_replica("old", version="v1")
        await start_replica("new", version="v2", behave=canary)
        fast = RolloutSettings(tick_seconds=0.02)
        return await start_gateway(admin_key=KEY, rollout=fast)

    return start


async def versions(http, gateway, count, *, sessions=()):
    """Ask so often; return how often each replica answered."""
    seen = Counter()
    for number in range(count):
        headers = {"X-Session-ID": sessions[number % len(sessions)]} if sessions else {}
        async with http.post(gateway.url + CHAT, json=ask(), headers=headers) as response:
            seen[response.headers["X-Warmfront-Replica"]] += 1
    return seen


async def phase(http, gateway):
    async with http.get(gateway.url + "/admin/rollouts/tiny", headers=ADMIN) as response:
        return (await response.json())["phase"]


async def begin(http, gateway, **changes):
    body = PLAN | changes
    async with http.post(gateway.url + "/admin/rollouts", json=body, headers=ADMIN) as response:
        assert response.status == 201, await response.text()


async def test_only_the_admins_key_orders_rollouts(start, http):
    gateway = await start()
    async with http.post(gateway.url + "/admin/rollouts", json=PLAN) as response:
        assert response.status == 403
    headers = {"Authorization": "Bearer guessed"}
    async with http.get(gateway.url + "/admin/rollouts", headers=headers) as response:
        assert response.status == 403
    await begin(http, gateway)


async def test_a_canary_that_fails_is_rolled_back(start, http):
    gateway = await start(canary=fail)
    await begin(http, gateway)
    async with asyncio.timeout(20):
        while await phase(http, gateway) != "rolled_back":
            await versions(http, gateway, 5)
    after = await versions(http, gateway, 20)

    assert after == {"old": 20}
    assert gateway.value("warmfront_rollout_moves_total", phase="rolled_back") == 1


async def test_a_canary_that_does_well_is_promoted(start, http):
    gateway = await start()
    await begin(http, gateway, max_ttft_ratio=None)
    async with asyncio.timeout(30):
        while await phase(http, gateway) != "promoted":
            await versions(http, gateway, 10)

    assert await versions(http, gateway, 20) == {"new": 20}


async def test_sessions_stay_on_the_version_they_began_with(start_replica, start_gateway, http):
    await start_replica("old", version="v1")
    fast = RolloutSettings(tick_seconds=0.02)
    gateway = await start_gateway(admin_key=KEY, rollout=fast)
    names = [f"s{number}" for number in range(8)]
    homes = {name: await versions(http, gateway, 1, sessions=[name]) for name in names}
    await begin(http, gateway, step_seconds=600)
    await start_replica("new", version="v2")
    await eventually(lambda: gateway.value("warmfront_rollout_weight_ratio", version="v2") == 0.5)
    again = {name: await versions(http, gateway, 3, sessions=[name]) for name in names}
    fresh = await versions(http, gateway, 60)

    assert {name: set(seen) for name, seen in again.items()} == {
        name: set(seen) for name, seen in homes.items()
    }
    assert min(fresh["old"], fresh["new"]) > 20


async def test_where_the_chosen_version_has_gone_another_answers(start_replica, start, http):
    gateway = await start()
    await begin(http, gateway, step_seconds=600)
    await eventually(lambda: gateway.value("warmfront_rollout_weight_ratio", version="v2") == 0.5)
    table = gateway.table.table
    table.remove("new")
    await gateway.refreshed()

    assert await versions(http, gateway, 20) == {"old": 20}
    assert gateway.value("warmfront_rollout_fallbacks_total", version="v2") > 0
