import asyncio
import json

import pytest
from aiohttp import web

from inference.gateway.relay import read_ttft
from tests.inference.gateway.fake_replica import (
    ANSWER,
    DONE,
    ROLE,
    STREAM,
    USAGE_CHUNK,
    ask,
    begin_stream,
    delta,
    eventually,
    hang,
)

CHAT = "/v1/chat/completions"


def error_of(event):
    return json.loads(event.removeprefix(b"data: "))["error"]


async def test_a_stream_arrives_byte_for_byte_without_the_usage_nobody_asked_for(
    start_replica, start_gateway, http
):
    replica, gateway = await start_replica(), await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(stream=True)) as response:
        body = await response.read()

    assert response.status == 200
    assert response.content_type == "text/event-stream"
    assert body == b"".join([*STREAM, DONE])
    assert replica.requests[0][1]["stream_options"] == {"include_usage": True}


async def test_usage_is_passed_on_to_a_client_that_asked_for_it(
    start_replica, start_gateway, http
):
    await start_replica()
    gateway = await start_gateway()
    options = {"include_usage": True}
    async with http.post(
        gateway.url + CHAT, json=ask(stream=True, stream_options=options)
    ) as response:
        body = await response.read()

    assert body == b"".join([*STREAM, USAGE_CHUNK, DONE])


async def test_events_cut_anywhere_by_the_network_arrive_unchanged(
    start_replica, start_gateway, http
):
    async def dribble(request, body):
        response = await begin_stream(request)
        stream = b"".join([*STREAM, USAGE_CHUNK, DONE])
        for place in range(0, len(stream), 37):
            await response.write(stream[place : place + 37])
        return response

    await start_replica(behave=dribble)
    gateway = await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(stream=True)) as response:
        assert await response.read() == b"".join([*STREAM, DONE])


async def test_each_event_is_passed_on_before_the_next_is_made(start_replica, start_gateway, http):
    proceed = asyncio.Event()

    async def stepwise(request, body):
        response = await begin_stream(request)
        await response.write(delta("first"))
        await proceed.wait()
        await response.write(delta("second") + DONE)
        return response

    await start_replica(behave=stepwise)
    gateway = await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(stream=True)) as response:
        async with asyncio.timeout(5):
            assert await response.content.readany() == delta("first")
        proceed.set()
        assert await response.content.read() == delta("second") + DONE


async def test_a_whole_answer_passes_unchanged(start_replica, start_gateway, http):
    replica, gateway = await start_replica(), await start_gateway()
    raw = json.dumps(ask(), indent=3).encode()
    async with http.post(gateway.url + CHAT, data=raw) as response:
        assert response.status == 200
        assert await response.json() == ANSWER
        assert response.headers["X-Warmfront-Replica"] == "r1"

    assert replica.bodies == [raw]


@pytest.mark.parametrize("status", [400, 422, 429, 500])
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_of_the_replica_pass_unchanged(
    start_replica, start_gateway, http, status, stream
):
    said = {"error": {"message": "`max_tokens` is too large", "type": "x", "code": None}}

    async def reject(request, body):
        return web.json_response(said, status=status, headers={"Retry-After": "7"})

    replica, gateway = await start_replica(behave=reject), await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(stream=stream)) as response:
        assert response.status == status
        assert await response.json() == said
        assert response.headers["Retry-After"] == "7"

    assert len(replica.requests) == 1


async def test_a_replica_killed_mid_stream_gives_one_error_event_and_the_end(
    start_replica, start_gateway, http
):
    async def die(request, body):
        response = await begin_stream(request)
        await response.write(ROLE + delta("half an ans"))
        await response.write(b'data: {"cut":')
        await asyncio.sleep(0.05)
        request.transport.abort()
        return response

    replica, gateway = await start_replica(behave=die), await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(stream=True)) as response:
        body = await response.read()

    passed, last = body[: -len(body.split(b"\n\n")[-2]) - 2], body.split(b"\n\n")[-2]
    assert passed == ROLE + delta("half an ans")
    assert error_of(last)["code"] == "replica_lost"
    assert "send the request again" in error_of(last)["message"]
    assert len(replica.requests) == 1
    assert gateway.value("warmfront_gateway_requests_total", model="tiny", code="502") == 1
    assert (
        gateway.value(
            "gen_ai_server_request_duration_seconds_count",
            gen_ai_request_model="tiny",
            error_type="replica_lost",
        )
        == 1
    )


async def test_a_stream_that_ends_without_its_end_is_an_error(start_replica, start_gateway, http):
    async def stop_early(request, body):
        response = await begin_stream(request)
        await response.write(delta("x"))
        return response

    await start_replica(behave=stop_early)
    gateway = await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(stream=True)) as response:
        events = (await response.read()).split(b"\n\n")

    assert error_of(events[1])["code"] == "replica_lost"


async def test_an_error_event_of_the_replica_is_passed_on_and_ends_the_stream(
    start_replica, start_gateway, http
):
    said = b'data: {"error": {"message": "out of KV blocks"}}\n\n'

    async def fail(request, body):
        response = await begin_stream(request)
        await response.write(delta("x") + said)
        return response

    await start_replica(behave=fail)
    gateway = await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(stream=True)) as response:
        assert await response.read() == delta("x") + said

    assert gateway.value("warmfront_gateway_requests_total", model="tiny", code="502") == 1


async def test_a_stream_that_falls_silent_is_given_up_and_the_replica_freed(
    start_replica, start_gateway, http
):
    async def fall_silent(request, body):
        response = await begin_stream(request)
        await response.write(delta("x"))
        await asyncio.Event().wait()

    replica = await start_replica(behave=fall_silent)
    gateway = await start_gateway(idle_seconds=0.1)
    async with http.post(gateway.url + CHAT, json=ask(stream=True)) as response:
        events = (await response.read()).split(b"\n\n")

    assert error_of(events[1])["code"] == "replica_timeout"
    await eventually(lambda: replica.cancelled == 1)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_replica_that_never_answers_is_given_up_with_504(
    start_replica, start_gateway, http, stream
):
    replica = await start_replica(behave=hang)
    gateway = await start_gateway(idle_seconds=0.1, unary_seconds=0.1)
    async with http.post(gateway.url + CHAT, json=ask(stream=stream)) as response:
        assert response.status == 504
        assert (await response.json())["error"]["code"] == "replica_timeout"

    await eventually(lambda: replica.cancelled == 1)


async def test_a_client_that_leaves_a_stream_frees_the_replica_within_a_second(
    start_replica, start_gateway, http
):
    async def trickle(request, body):
        response = await begin_stream(request)
        await response.write(delta("x"))
        await asyncio.Event().wait()

    replica, gateway = await start_replica(behave=trickle), await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(stream=True)) as response:
        await response.content.readany()
        response.close()
        await eventually(lambda: replica.cancelled == 1, within=1.0)

    await gateway.until("warmfront_gateway_requests_total", 1, model="tiny", code="499")
    assert gateway.value("warmfront_gateway_requests_in_flight", model="tiny") == 0


async def test_a_client_that_leaves_with_its_whole_answer_was_answered(
    start_replica, start_gateway, http
):
    async def linger(request, body):
        response = await begin_stream(request)
        await response.write(delta("x") + DONE)
        await asyncio.Event().wait()

    replica, gateway = await start_replica(behave=linger), await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(stream=True)) as response:
        await response.content.readuntil(DONE)
        response.close()
        await eventually(lambda: replica.cancelled == 1)

    await gateway.until("warmfront_gateway_requests_total", 1, model="tiny", code="200")
    assert gateway.value("warmfront_gateway_requests_total", model="tiny", code="499") == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_before_the_first_token_frees_the_replica_within_a_second(
    start_replica, start_gateway, http, stream
):
    replica, gateway = await start_replica(behave=hang), await start_gateway()
    asking = asyncio.create_task(http.post(gateway.url + CHAT, json=ask(stream=stream)))
    await eventually(lambda: len(replica.requests) == 1)
    asking.cancel()
    await eventually(lambda: replica.cancelled == 1, within=1.0)

    await gateway.until("warmfront_gateway_requests_total", 1, model="tiny", code="499")
    assert gateway.value("warmfront_gateway_requests_in_flight", model="tiny") == 0


async def flood(request, body):
    response = await begin_stream(request)
    while True:
        await response.write(delta("x" * 65_536))


async def test_a_client_that_does_not_read_stops_the_replica_from_writing(
    start_replica, start_gateway, http
):
    written = 0

    async def counted_flood(request, body):
        nonlocal written
        response = await begin_stream(request)
        while True:
            await response.write(delta("x" * 65_536))
            written += 1

    replica, gateway = await start_replica(behave=counted_flood), await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(stream=True)) as response:
        before = -1
        async with asyncio.timeout(10):
            while before != written:  # until the buffers in between are full
                before = written
                await asyncio.sleep(0.2)
        response.close()

    assert 0 < written < 1000  # 64 MB
    await eventually(lambda: replica.cancelled == 1)


async def test_a_client_that_never_reads_is_hung_up_on_and_the_replica_freed(
    start_replica, start_gateway, http
):
    replica = await start_replica(behave=flood)
    gateway = await start_gateway(client_seconds=0.2)
    async with http.post(gateway.url + CHAT, json=ask(stream=True)):
        await eventually(lambda: replica.cancelled == 1)

    await gateway.until("warmfront_gateway_requests_total", 1, model="tiny", code="499")


async def test_finished_streams_leave_their_connection_to_the_next(
    start_replica, start_gateway, http
):
    peers = set()

    async def remember(request, body):
        peers.add(request.transport.get_extra_info("peername"))
        response = await begin_stream(request)
        await response.write(DONE)
        await asyncio.sleep(0.02)  # its end comes in a piece of its own
        return response

    await start_replica(behave=remember)
    gateway = await start_gateway()
    for _ in range(5):
        async with http.post(gateway.url + CHAT, json=ask(stream=True)) as response:
            await response.read()

    assert len(peers) == 1


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param('{"ttft": 0.25}', 0.25, id="told"),
        pytest.param('{"ttft": 0}', 0.0, id="at once"),
        pytest.param(None, None, id="no header"),
        pytest.param("", None, id="empty"),
        pytest.param('{"queue": 1}', None, id="not told"),
        pytest.param('{"ttft": -1}', None, id="negative"),
        pytest.param('{"ttft": NaN}', None, id="not a number"),
        pytest.param('{"ttft": "0.2"}', None, id="a word"),
        pytest.param("[1]", None, id="a list"),
    ],
)
def test_the_replicas_own_first_token_time_is_believed_only_where_it_is_one(header, expected):
    assert read_ttft(header) == expected
