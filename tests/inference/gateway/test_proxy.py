import asyncio
import socket
from collections import Counter
from dataclasses import replace

import pytest

from telemetry.lifecycle import ReplicaState
from tests.inference.gateway.fake_replica import (
    ANSWER,
    DONE,
    STREAM,
    ask,
    begin_stream,
    delta,
    eventually,
    hang,
    refuse,
    vanish,
)

CHAT = "/v1/chat/completions"
RETRIES = "warmfront_gateway_retries_total"


async def begin_and_vanish(request, body):
    """Send the head of an answer, then nothing: the client has not had a byte."""
    await begin_stream(request)
    request.transport.abort()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        pytest.param(refuse, False, id="standby"),
        pytest.param(refuse, True, id="standby, stream"),
        pytest.param(vanish, False, id="killed"),
        pytest.param(vanish, True, id="killed, stream"),
        pytest.param(begin_and_vanish, True, id="killed after its head"),
    ],
)
async def test_another_replica_answers_when_the_first_fails_before_its_first_byte(
    start_replica, start_gateway, http, fault, stream
):
    bad, good = await start_replica("a", behave=fault), await start_replica("b")
    gateway = await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(stream=stream)) as response:
        assert response.status == 200
        assert response.headers["X-Warmfront-Replica"] == "b"
        body = await response.read()

    assert body == b"".join([*STREAM, DONE]) if stream else ANSWER["id"].encode() in body
    assert len(bad.requests) == len(good.requests) == 1
    assert gateway.value(RETRIES, model="tiny") == 1


async def test_a_replica_that_is_gone_is_passed_over_at_once(start_replica, start_gateway, http):
    gone, good = await start_replica("a"), await start_replica("b")
    await gone.stop()  # its record stays, as after kill -9
    gateway = await start_gateway()
    for _ in range(3):
        async with http.post(gateway.url + CHAT, json=ask()) as response:
            assert response.status == 200

    assert len(good.requests) == 3
    assert gateway.value(RETRIES, model="tiny") == 1


async def test_a_started_stream_is_never_sent_to_another_replica(
    start_replica, start_gateway, http
):
    async def die_late(request, body):
        response = await begin_stream(request)
        await response.write(delta("x"))
        await asyncio.sleep(0.02)
        request.transport.abort()
        return response

    await start_replica("a", behave=die_late)
    other = await start_replica("b")
    gateway = await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(stream=True)) as response:
        await response.read()

    assert not other.requests
    assert gateway.value(RETRIES, model="tiny") == 0


async def test_a_request_that_kills_replicas_is_given_up_after_a_few(
    start_replica, start_gateway, http
):
    replicas = [await start_replica(id_, behave=vanish) for id_ in "abcdef"]
    gateway = await start_gateway(max_losses=2)
    async with http.post(gateway.url + CHAT, json=ask()) as response:
        assert response.status == 502
        assert (await response.json())["error"]["code"] == "replica_lost"

    assert sum(len(replica.requests) for replica in replicas) == 3


async def test_tries_are_bounded_however_many_replicas_refuse(start_replica, start_gateway, http):
    replicas = [await start_replica(id_, behave=refuse) for id_ in "abcdef"]
    gateway = await start_gateway(max_tries=4)
    async with http.post(gateway.url + CHAT, json=ask()) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        assert "4 tries" in (await response.json())["error"]["message"]

    assert sum(len(replica.requests) for replica in replicas) == 4


async def test_an_address_that_does_not_answer_costs_no_more_than_the_connect_deadline(
    start_replica, start_gateway, http, table
):
    with socket.socket() as full:  # listens, but its queue of connections is full
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        good = await start_replica("b")
        table.put(replace(good.record, id="a", port=full.getsockname()[1]))
        gateway = await start_gateway(connect_seconds=0.1)
        async with asyncio.timeout(5), http.post(gateway.url + CHAT, json=ask()) as response:
            assert response.status == 200
        for one in waiting:
            one.close()

    assert gateway.value(RETRIES, model="tiny") == 1


async def test_requests_spread_over_replicas_by_their_slots(start_replica, start_gateway, http):
    replicas = [
        await start_replica("a", behave=hang, slots=2),
        await start_replica("b", behave=hang, slots=4),
    ]
    gateway = await start_gateway()
    asking = [asyncio.create_task(http.post(gateway.url + CHAT, json=ask())) for _ in range(6)]
    await eventually(lambda: sum(len(replica.requests) for replica in replicas) == 6)
    for task in asking:
        task.cancel()

    assert Counter({one.record.id: len(one.requests) for one in replicas}) == {"a": 2, "b": 4}


async def test_load_is_given_back_when_clients_leave(start_replica, start_gateway, http):
    replicas = [await start_replica(id_, behave=hang) for id_ in "ab"]
    gateway = await start_gateway()
    for number in range(1, 4):
        asking = asyncio.create_task(http.post(gateway.url + CHAT, json=ask()))
        await eventually(lambda: len(replicas[0].requests) == number)  # noqa: B023
        asking.cancel()
        await gateway.until("warmfront_gateway_requests_in_flight", 0, model="tiny")

    assert not replicas[1].requests


async def test_a_replica_that_stops_serving_gets_no_more_requests(
    start_replica, start_gateway, http
):
    first, second = await start_replica("a"), await start_replica("b")
    gateway = await start_gateway()
    first.move(ReplicaState.DRAINING)
    await gateway.refreshed()
    for _ in range(3):
        async with http.post(gateway.url + CHAT, json=ask()) as response:
            assert response.status == 200

    assert not first.requests
    assert len(second.requests) == 3
