"""What a client sees of quotas, shared answers, priorities, admission and sessions."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from inference.gateway.routing.hedging import HedgeSettings
from inference.gateway.tenancy.settings import TenancySettings
from tests.inference.gateway.fake_replica import (
    ANSWER,
    DONE,
    STREAM,
    answer,
    ask,
    begin_stream,
    delta,
    eventually,
)

CHAT = "/v1/chat/completions"


class Gate:
    """A replica's behaviour that answers once it is let."""

    def __init__(self):
        self.open = asyncio.Event()

    async def __call__(self, request, body):
        await self.open.wait()
        return await answer(request, body)


async def fetch(http, gateway, headers=None, **fields):
    async with http.post(gateway.url + CHAT, json=ask(**fields), headers=headers) as response:
        return response.status, dict(response.headers), await response.read()


@asynccontextmanager
async def asking(http, gateway, count, **fields):
    """Yield so many requests under way."""
    tasks = [asyncio.create_task(fetch(http, gateway, **fields)) for _ in range(count)]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_equal_deterministic_requests_in_flight_are_computed_once(
    start_replica, start_gateway, http, stream
):
    gate = Gate()
    replica, gateway = await start_replica(behave=gate), await start_gateway()
    async with asking(http, gateway, 4, temperature=0, stream=stream) as tasks:
        await gateway.until("warmfront_gateway_requests_in_flight", 4, model="tiny")
        gate.open.set()
        answers = await asyncio.gather(*tasks)

    assert len(replica.requests) == 1
    assert len({body for _, _, body in answers}) == 1
    assert [status for status, _, _ in answers] == [200] * 4
    assert len({headers["X-Request-ID"] for _, headers, _ in answers}) == 4
    followed = [headers.get("X-Warmfront-Coalesced") for _, headers, _ in answers]
    assert sorted(followed, key=str) == [None, "follower", "follower", "follower"]
    assert gateway.value("warmfront_gateway_coalesced_total", source="flight") == 3
    assert gateway.value("warmfront_gateway_saved_tokens_total", source="flight") == 24
    assert gateway.value("warmfront_gateway_output_tokens_total", model="tiny") == 3


async def test_requests_that_may_differ_are_each_computed(start_replica, start_gateway, http):
    gate = Gate()
    replica, gateway = await start_replica(behave=gate), await start_gateway()
    async with asking(http, gateway, 3, temperature=0.7) as tasks:
        await eventually(lambda: len(replica.requests) == 3)
        gate.open.set()
        await asyncio.gather(*tasks)


async def test_a_leader_that_leaves_takes_nobody_along(start_replica, start_gateway, http):
    gate = Gate()
    replica, gateway = await start_replica(behave=gate), await start_gateway()
    async with asking(http, gateway, 1, temperature=0) as [leader]:
        await eventually(lambda: len(replica.requests) == 1)
        async with asking(http, gateway, 1, temperature=0) as [follower]:
            await gateway.until("warmfront_gateway_requests_in_flight", 2, model="tiny")
            leader.cancel()
            await gateway.until("warmfront_gateway_requests_in_flight", 1, model="tiny")
            gate.open.set()
            status, _, body = await follower

    assert status == 200
    assert json.loads(body) == ANSWER
    assert replica.cancelled == 0
    assert len(replica.requests) == 1


async def test_when_all_have_left_the_replica_is_told(start_replica, start_gateway, http):
    gate = Gate()
    replica, gateway = await start_replica(behave=gate), await start_gateway()
    async with asking(http, gateway, 3, temperature=0):
        await gateway.until("warmfront_gateway_requests_in_flight", 3, model="tiny")
        await eventually(lambda: len(replica.requests) == 1)

    await eventually(lambda: replica.cancelled == 1)
    await gateway.until("warmfront_gateway_requests_in_flight", 0, model="tiny")


async def test_a_kept_answer_is_given_again_as_it_was(start_replica, start_gateway, http):
    replica, gateway = await start_replica(), await start_gateway(cache_seconds=60.0)
    first = await fetch(http, gateway, temperature=0, stream=True)
    again = await fetch(http, gateway, temperature=0, stream=True)
    fresh = await fetch(
        http, gateway, headers={"Cache-Control": "no-cache"}, temperature=0, stream=True
    )

    assert first[2] == again[2] == fresh[2] == b"".join([*STREAM, DONE])
    assert again[1]["X-Warmfront-Cache"] == "hit"
    assert len(replica.requests) == 2


async def test_a_full_tier_holds_requests_and_serves_the_urgent_first(
    start_replica, start_gateway, http
):
    order, gate = [], asyncio.Event()

    async def noted(request, body):
        order.append(body["user"])
        await gate.wait()
        return await answer(request, body)

    await start_replica(behave=noted, slots=1)
    gateway = await start_gateway()
    async with asyncio.TaskGroup() as group:
        for name, priority in (
            ("a", "standard"), ("b", "standard"), ("c", "batch"), ("d", "standard"),
            ("e", "interactive"),
        ):  # fmt: skip
            before = len(order)
            headers = {"X-Warmfront-Priority": priority}
            group.create_task(fetch(http, gateway, headers=headers, user=name))
            if name in "ab":  # one runs, and one is at hand for when it ends
                await eventually(lambda before=before: len(order) > before)
        await gateway.until("warmfront_gateway_requests_held", 3, model="tiny")
        gate.set()

    assert order == ["a", "b", "e", "d", "c"]


async def test_a_priority_that_is_none_is_refused(start_gateway, http):
    gateway = await start_gateway()
    status, _, body = await fetch(http, gateway, headers={"X-Warmfront-Priority": "now"})

    assert status == 400
    assert "interactive, standard, batch" in json.loads(body)["error"]["message"]


async def test_who_would_wait_too_long_is_told_when_to_come_back(
    start_replica, start_gateway, http
):
    async def slow(request, body):
        await asyncio.sleep(0.2)
        return web.json_response(ANSWER, headers={"X-Warmfront-Timings": '{"ttft": 0.2}'})

    await start_replica(behave=slow, slots=1)
    gateway = await start_gateway(standard_budget_seconds=0.5, max_waiting=50)
    warm = await asyncio.gather(*(fetch(http, gateway) for _ in range(6)))
    answers = await asyncio.gather(*(fetch(http, gateway) for _ in range(20)))
    refused = [headers for status, headers, _ in answers if status == 429]

    assert {status for status, _, _ in (*warm, *answers)} <= {200, 429}
    assert len(refused) > 10
    assert all(0 < int(one["retry-after-ms"]) <= 120_000 for one in refused)
    assert all(int(one["Retry-After"]) >= 1 for one in refused)
    assert gateway.value("warmfront_gateway_turned_away_total", model="tiny") >= len(refused)


async def test_with_admission_off_only_the_length_of_the_line_is_bounded(
    start_replica, start_gateway, http
):
    async def slow(request, body):
        await asyncio.sleep(0.02)
        return await answer(request, body)

    await start_replica(behave=slow, slots=1)
    gateway = await start_gateway(is_on=False, standard_budget_seconds=0.01)
    answers = await asyncio.gather(*(fetch(http, gateway) for _ in range(20)))

    assert [status for status, _, _ in answers] == [200] * 20


async def test_a_caller_beyond_its_quota_is_told_by_openais_headers(
    start_replica, start_gateway, http
):
    await start_replica()
    tenancy = TenancySettings(anonymous_requests_per_minute=2)
    gateway = await start_gateway(tenancy=tenancy)
    answers = [await fetch(http, gateway) for _ in range(3)]

    assert [status for status, _, _ in answers] == [200, 200, 429]
    assert [one["x-ratelimit-remaining-requests"] for _, one, _ in answers] == ["1", "0", "0"]
    assert json.loads(answers[2][2])["error"]["code"] == "rate_limit_exceeded"
    assert gateway.value("warmfront_gateway_turned_away_total", reason="rate_limit") == 1


async def test_a_conversation_stays_with_its_replica(start_replica, start_gateway, http):
    for name in "abcd":
        await start_replica(name)
    gateway = await start_gateway()
    replicas = {}
    for session in range(6):
        headers = {"X-Session-ID": f"s{session}"}
        replicas[session] = {
            (await fetch(http, gateway, headers=headers))[1]["X-Warmfront-Replica"]
            for _ in range(5)
        }

    assert all(len(seen) == 1 for seen in replicas.values())


async def test_a_quiet_stream_is_kept_alive_and_may_still_fail_over(
    start_replica, start_gateway, http
):
    async def late_and_lost(request, body):
        await asyncio.sleep(0.3)
        request.transport.abort()
        return web.Response()

    lost, good = await start_replica("a", behave=late_and_lost), await start_replica("b")
    gateway = await start_gateway(keepalive_seconds=0.05)
    status, _, body = await fetch(http, gateway, stream=True)

    assert status == 200
    assert body.startswith(b": keep-alive\n\n")
    assert body.replace(b": keep-alive\n\n", b"") == b"".join([*STREAM, DONE])
    assert len(lost.requests) == len(good.requests) == 1
    assert gateway.value("warmfront_gateway_keepalives_total", model="tiny") >= 2


async def test_a_stream_that_was_kept_alive_ends_in_an_error_event(
    start_replica, start_gateway, http
):
    gateway = await start_gateway(keepalive_seconds=0.05, hold_seconds=0.3)
    status, _, body = await fetch(http, gateway, stream=True)
    events = [one for one in body.split(b"\n\n") if one.startswith(b"data: ")]

    assert status == 200
    assert json.loads(events[0].removeprefix(b"data: "))["error"]["code"] == "no_replica"


async def test_timings_come_before_the_end_of_a_stream_that_asks(
    start_replica, start_gateway, http
):
    await start_replica()
    gateway = await start_gateway()
    _, _, plain = await fetch(http, gateway, stream=True)
    _, _, told = await fetch(http, gateway, headers={"X-Warmfront-Timings": "1"}, stream=True)
    comment = told.split(b"\n\n")[-3]

    assert b"timings" not in plain
    assert json.loads(comment.removeprefix(b": timings "))["ttft"] > 0
    assert told.endswith(b"\n\n" + DONE)


async def test_where_the_first_byte_is_late_a_second_replica_answers(
    start_replica, start_gateway, http
):
    stuck = False

    async def at_times_stuck(request, body):
        if stuck:
            await asyncio.sleep(5)
        return await answer(request, body)

    first = await start_replica("a", behave=at_times_stuck)
    second = await start_replica("b")
    hedge = HedgeSettings(is_on=True, share=1.0)
    gateway = await start_gateway(hedge=hedge)
    for number in range(80):
        await fetch(http, gateway, seed=number)
    stuck = True
    before = len(first.requests)
    async with asyncio.timeout(5):
        answers = [await fetch(http, gateway, seed=100 + number) for number in range(6)]

    assert [status for status, _, _ in answers] == [200] * 6
    assert len(first.requests) > before
    assert gateway.value("warmfront_gateway_hedges_total", result="won") >= 1
    await eventually(lambda: first.cancelled == len(first.requests) - before)
    assert second.cancelled == 0


async def test_the_tokens_of_each_choice_have_gaps_of_their_own(
    start_replica, start_gateway, http
):
    def piece(choice):
        return delta("x").replace(b'"index": 0', b'"index": %d' % choice)

    async def twins(request, body):
        response = await begin_stream(request)
        for _ in range(3):
            await response.write(piece(0))
            await asyncio.sleep(0.03)
            await response.write(piece(1))
            await asyncio.sleep(0.03)
        await response.write(DONE)
        return response

    await start_replica(behave=twins)
    gateway = await start_gateway()
    await fetch(http, gateway, stream=True, n=2)
    name = "warmfront_gateway_inter_token_latency_seconds"

    assert gateway.value(f"{name}_count", model="tiny") == 4
    assert gateway.value(f"{name}_sum", model="tiny") >= 0.06 * 4 * 0.95


async def test_vllms_names_are_there_for_who_asked_for_them(start_replica, start_gateway, http):
    await start_replica()
    plain, gateway = await start_gateway(), await start_gateway(has_vllm_names=True)
    await fetch(http, gateway)
    async with http.get(plain.url + "/metrics/vllm") as response:
        assert response.status == 404
    async with http.get(gateway.url + "/metrics/vllm") as response:
        page = await response.text()

    assert "vllm:time_to_first_token_seconds_count{" in page
    assert "vllm:e2e_request_latency_seconds_count{" in page
