import asyncio

import pytest

from telemetry.lifecycle import ReplicaState
from tests.inference.gateway.fake_replica import (
    DONE,
    USAGE_CHUNK,
    ask,
    begin_stream,
    delta,
    refuse,
)

CHAT = "/v1/chat/completions"
ARRIVALS = "warmfront_gateway_arrivals_total"
COLD = "warmfront_gateway_cold_start_hits_total"
REQUESTS = "warmfront_gateway_requests_total"
TTFT = "gen_ai_server_time_to_first_token_seconds"
TPOT = "gen_ai_server_time_per_output_token_seconds"
DURATION = "gen_ai_server_request_duration_seconds"


async def fetch(http, gateway, **fields):
    async with http.post(gateway.url + CHAT, json=ask(**fields)) as response:
        await response.read()
        return response.status


def paced(*gaps):
    """Stream three tokens, waiting before each."""

    async def behave(request, body):
        await asyncio.sleep(gaps[0])
        response = await begin_stream(request)
        await response.write(delta("one"))
        await asyncio.sleep(gaps[1])
        await response.write(delta("two"))
        await asyncio.sleep(gaps[2])
        await response.write(delta("three"))
        await response.write(USAGE_CHUNK + DONE)
        return response

    return behave


async def test_series_of_known_models_exist_from_the_start_at_zero(start_gateway):
    gateway = await start_gateway(models=["tiny", "big"])
    for model in ("tiny", "big"):
        for name in (
            ARRIVALS, COLD, "warmfront_gateway_retries_total",
            "warmfront_gateway_input_tokens_total", "warmfront_gateway_output_tokens_total",
            "warmfront_gateway_requests_in_flight", "warmfront_gateway_requests_held",
        ):  # fmt: skip
            assert gateway.value(name, model=model) == 0
        for code in ("200", "499", "502", "503"):
            assert gateway.value(REQUESTS, model=model, code=code) == 0
        assert gateway.value(f"{TTFT}_count", gen_ai_request_model=model) == 0
        for error_type in ("", "no_replica", "replica_lost"):
            assert (
                gateway.value(
                    f"{DURATION}_count", gen_ai_request_model=model, error_type=error_type
                )
                == 0
            )


async def test_series_of_a_model_exist_before_its_first_request(start_replica, start_gateway):
    gateway = await start_gateway(models=[])
    await start_replica(model="new")
    await gateway.until(ARRIVALS, 0, model="new")


async def test_everything_is_counted_once_over_a_known_sequence(
    start_replica, start_gateway, http
):
    await start_replica()
    gateway = await start_gateway()
    assert await fetch(http, gateway) == 200
    assert await fetch(http, gateway, stream=True) == 200
    assert await fetch(http, gateway, model="gpt-9") == 404

    assert gateway.value(ARRIVALS, model="tiny") == 2
    assert gateway.value(REQUESTS, model="tiny", code="200") == 2
    assert gateway.value(REQUESTS, model="other", code="404") == 1
    assert gateway.value("warmfront_gateway_input_tokens_total", model="tiny") == 10
    assert gateway.value("warmfront_gateway_output_tokens_total", model="tiny") == 6
    assert gateway.value("warmfront_gateway_requests_in_flight", model="tiny") == 0
    assert gateway.value(f"{TTFT}_count", gen_ai_request_model="tiny") == 2
    assert gateway.value(f"{TPOT}_count", gen_ai_request_model="tiny") == 2
    assert gateway.value(f"{DURATION}_count", gen_ai_request_model="tiny", error_type="") == 2
    assert gateway.value(COLD, model="tiny") == 0


async def test_arrivals_count_demand_even_where_it_is_refused(start_gateway, http):
    gateway = await start_gateway(hold_seconds=0)
    assert await fetch(http, gateway) == 503

    assert gateway.value(ARRIVALS, model="tiny") == 1
    assert gateway.value(REQUESTS, model="tiny", code="503") == 1


async def test_arrivals_count_demand_while_it_is_held(start_gateway, http):
    gateway = await start_gateway()
    asking = asyncio.create_task(fetch(http, gateway))
    await gateway.until(ARRIVALS, 1, model="tiny")

    assert gateway.value("warmfront_gateway_requests_in_flight", model="tiny") == 1
    asking.cancel()
    await gateway.until("warmfront_gateway_requests_in_flight", 0, model="tiny")


async def test_a_streams_first_token_is_its_first_content_and_the_rest_is_per_token(
    start_replica, start_gateway, http
):
    await start_replica(behave=paced(0.1, 0.05, 0.05))
    gateway = await start_gateway()
    await fetch(http, gateway, stream=True)
    ttft = gateway.value(f"{TTFT}_sum", gen_ai_request_model="tiny")
    tpot = gateway.value(f"{TPOT}_sum", gen_ai_request_model="tiny")
    duration = gateway.value(f"{DURATION}_sum", gen_ai_request_model="tiny", error_type="")

    assert ttft >= 0.09
    assert tpot >= 0.045
    assert ttft + 2 * tpot <= duration


async def test_a_whole_answers_first_token_is_the_replicas_own_plus_the_wait_before(
    start_replica, start_gateway, http
):
    replica = await start_replica(state=ReplicaState.STANDBY)
    gateway = await start_gateway()
    asking = asyncio.create_task(fetch(http, gateway))
    await gateway.until("warmfront_gateway_requests_held", 1, model="tiny")
    await asyncio.sleep(0.1)
    replica.move(ReplicaState.SERVING)
    await asking
    ttft = gateway.value(f"{TTFT}_sum", gen_ai_request_model="tiny")
    duration = gateway.value(f"{DURATION}_sum", gen_ai_request_model="tiny", error_type="")

    assert 0.1 <= ttft <= duration


async def test_a_whole_answer_without_timings_tells_no_first_token(
    start_replica, start_gateway, http
):
    from aiohttp import web  # noqa: PLC0415 - the one test that words its own answer

    async def terse(request, body):
        return web.json_response({"choices": []})

    await start_replica(behave=terse)
    gateway = await start_gateway()
    await fetch(http, gateway)

    assert gateway.value(f"{TTFT}_count", gen_ai_request_model="tiny") == 0
    assert gateway.value("warmfront_gateway_output_tokens_total", model="tiny") == 0


async def test_a_late_first_token_while_a_replica_starts_is_a_cold_start_hit(
    start_replica, start_gateway, http
):
    await start_replica("a", behave=paced(0.1, 0, 0))
    starting = await start_replica("b", state=ReplicaState.STARTING)
    gateway = await start_gateway(ttft_objective_seconds=0.05)
    await fetch(http, gateway, stream=True)
    assert gateway.value(COLD, model="tiny") == 1

    starting.move(ReplicaState.STANDBY)
    await gateway.refreshed()
    await fetch(http, gateway, stream=True)
    assert gateway.value(COLD, model="tiny") == 1  # late, but nothing was starting


async def test_a_first_token_in_time_is_no_cold_start_hit_though_a_replica_starts(
    start_replica, start_gateway, http
):
    await start_replica("a")
    await start_replica("b", state=ReplicaState.STARTING)
    gateway = await start_gateway(ttft_objective_seconds=5)
    await fetch(http, gateway, stream=True)

    assert gateway.value(COLD, model="tiny") == 0


async def test_a_wait_for_the_first_replica_is_a_cold_start_hit_beyond_the_objective(
    start_replica, start_gateway, http
):
    replica = await start_replica(state=ReplicaState.STANDBY)
    gateway = await start_gateway(ttft_objective_seconds=0.05)
    asking = asyncio.create_task(fetch(http, gateway))
    await gateway.until("warmfront_gateway_requests_held", 1, model="tiny")
    await asyncio.sleep(0.1)
    replica.move(ReplicaState.SERVING)
    await asking

    assert gateway.value(COLD, model="tiny") == 1


async def test_a_request_refused_for_want_of_a_replica_is_a_cold_start_hit(start_gateway, http):
    gateway = await start_gateway(hold_seconds=0, ttft_objective_seconds=60)
    await fetch(http, gateway)

    assert gateway.value(COLD, model="tiny") == 1


@pytest.mark.parametrize(
    ("state", "hits"), [(ReplicaState.STARTING, 1), (ReplicaState.STANDBY, 0)]
)
async def test_refusals_by_replicas_are_hits_only_where_capacity_was_missing(
    start_replica, start_gateway, http, state, hits
):
    await start_replica("a", behave=refuse)
    await start_replica("b", state=state)
    gateway = await start_gateway(max_tries=1)
    assert await fetch(http, gateway) == 503

    assert gateway.value(COLD, model="tiny") == hits
