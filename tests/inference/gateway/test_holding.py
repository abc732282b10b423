import asyncio

from telemetry.lifecycle import ReplicaState
from tests.inference.gateway.fake_replica import ANSWER, answer, ask, eventually, refuse

CHAT = "/v1/chat/completions"
HELD = "warmfront_gateway_requests_held"


async def fetch(http, gateway, **fields):
    async with http.post(gateway.url + CHAT, json=ask(**fields)) as response:
        return response.status, await response.json(), response.headers


async def test_a_request_waits_for_a_replica_that_wakes(start_replica, start_gateway, http):
    replica = await start_replica(state=ReplicaState.STANDBY)
    gateway = await start_gateway()
    asking = asyncio.create_task(fetch(http, gateway))
    await gateway.until(HELD, 1, model="tiny")
    replica.move(ReplicaState.SERVING)
    status, body, _ = await asking

    assert (status, body) == (200, ANSWER)
    assert gateway.value(HELD, model="tiny") == 0


async def test_a_request_waits_for_the_first_replica_to_start(start_replica, start_gateway, http):
    gateway = await start_gateway()
    asking = asyncio.create_task(fetch(http, gateway))
    await gateway.until(HELD, 1, model="tiny")
    await start_replica()

    assert (await asking)[0] == 200


async def test_a_replica_of_another_model_does_not_end_the_wait(
    start_replica, start_gateway, http
):
    gateway = await start_gateway(models=["tiny", "other"], hold_seconds=0.1)
    await start_replica(model="other")

    assert (await fetch(http, gateway))[0] == 503


async def test_waiting_is_bounded_in_time_and_says_when_to_come_back(start_gateway, http):
    gateway = await start_gateway(hold_seconds=0.05, retry_after_seconds=2.5)
    status, body, headers = await fetch(http, gateway)

    assert status == 503
    assert headers["Retry-After"] == "3"
    assert body["error"]["code"] == "no_replica"
    assert "No replica of model 'tiny' became ready within 0.05 s" in body["error"]["message"]
    assert gateway.value(HELD, model="tiny") == 0


async def test_places_to_wait_are_bounded(start_replica, start_gateway, http):
    gateway = await start_gateway(max_held=2)
    held = [asyncio.create_task(fetch(http, gateway)) for _ in range(2)]
    await gateway.until(HELD, 2, model="tiny")
    status, body, headers = await fetch(http, gateway)

    assert status == 503
    assert "Retry-After" in headers
    assert "all 2 places to wait for one are taken" in body["error"]["message"]

    await start_replica()
    assert [(await one)[0] for one in held] == [200, 200]


async def test_places_are_counted_per_model(start_gateway, http):
    gateway = await start_gateway(models=["tiny", "other"], max_held=1)
    held = asyncio.create_task(fetch(http, gateway))
    await gateway.until(HELD, 1, model="tiny")
    other = asyncio.create_task(fetch(http, gateway, model="other"))
    await gateway.until(HELD, 1, model="other")
    for one in (held, other):
        one.cancel()
    await gateway.until(HELD, 0, model="other")


async def test_a_client_that_leaves_gives_its_place_back(start_gateway, http):
    gateway = await start_gateway(max_held=1)
    for _ in range(2):
        asking = asyncio.create_task(fetch(http, gateway))
        await gateway.until(HELD, 1, model="tiny")
        asking.cancel()
        await gateway.until(HELD, 0, model="tiny")

    assert gateway.value("warmfront_gateway_requests_total", model="tiny", code="499") == 2


async def test_holding_can_be_switched_off(start_gateway, http):
    gateway = await start_gateway(hold_seconds=0)

    assert (await fetch(http, gateway))[0] == 503


async def test_a_request_outlives_the_death_of_the_only_replica(
    start_replica, start_gateway, http
):
    dead = await start_replica("a")
    await dead.stop()
    gateway = await start_gateway()
    asking = asyncio.create_task(fetch(http, gateway))
    await gateway.until(HELD, 1, model="tiny")
    await start_replica("b")

    assert (await asking)[0] == 200


async def test_a_record_that_runs_ahead_of_its_replica_costs_a_short_wait(
    start_replica, start_gateway, http
):
    replica = await start_replica(behave=refuse)
    gateway = await start_gateway(shun_seconds=0.05)
    asking = asyncio.create_task(fetch(http, gateway))
    await eventually(lambda: len(replica.requests) == 1)
    replica.behave = answer
    status, body, _ = await asking

    assert (status, body) == (200, ANSWER)
