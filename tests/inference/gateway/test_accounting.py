import asyncio

from aiohttp import web

from telemetry.lifecycle import ReplicaState
from tests.inference.gateway.fake_replica import DONE, USAGE_CHUNK, ask, begin_stream, delta

CHAT = "/v1/chat/completions"
ARRIVALS = "warmfront_gateway_arrivals_total"
IN_FLIGHT = "warmfront_gateway_requests_in_flight"
HELD = "warmfront_gateway_requests_held"
REQUESTS = "warmfront_gateway_requests_total"
TTFT = "gen_ai_server_time_to_first_token_seconds"
TPOT = "gen_ai_server_time_per_output_token_seconds"
DURATION = "gen_ai_server_request_duration_seconds"
GAP = "warmfront_gateway_inter_token_latency_seconds"
TIMINGS = '{"ttft": 0.002, "queue": 0.001, "prefill": 0.001, "decode": 0.0}'
GEN_AI = {
    "gen_ai_request_model": "tiny",
    "gen_ai_operation_name": "chat",
    "gen_ai_provider_name": "warmfront",
}
OPEN_METRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


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
    assert gateway.value(IN_FLIGHT, model="tiny") == 0
    assert gateway.value(f"{TTFT}_count", **GEN_AI) == 2
    assert gateway.value(f"{TPOT}_count", **GEN_AI) == 2
    assert gateway.value(f"{DURATION}_count", **GEN_AI, error_type="") == 2
    assert gateway.value("warmfront_gateway_cold_start_hits_total", model="tiny") == 0


async def test_arrivals_count_demand_while_it_is_held(start_gateway, http):
    gateway = await start_gateway()
    asking = asyncio.create_task(fetch(http, gateway))
    await gateway.until(ARRIVALS, 1, model="tiny")

    assert gateway.value(IN_FLIGHT, model="tiny") == 1
    asking.cancel()
    await gateway.until(IN_FLIGHT, 0, model="tiny")
    assert gateway.value("warmfront_gateway_disconnects_total", model="tiny", phase="in_line") == 1


async def test_a_streams_first_token_is_its_first_content_and_the_rest_is_per_token(
    start_replica, start_gateway, http
):
    await start_replica(behave=paced(0.1, 0.05, 0.05))
    gateway = await start_gateway()
    await fetch(http, gateway, stream=True)
    ttft = gateway.value(f"{TTFT}_sum", **GEN_AI)
    tpot = gateway.value(f"{TPOT}_sum", **GEN_AI)
    duration = gateway.value(f"{DURATION}_sum", **GEN_AI, error_type="")

    assert ttft >= 0.09
    assert tpot >= 0.045
    assert ttft + 2 * tpot <= duration
    assert gateway.value(f"{GAP}_count", model="tiny") == 2
    assert gateway.value(f"{GAP}_sum", model="tiny") >= 0.09


async def test_a_whole_answers_first_token_is_the_replicas_own_plus_the_wait_before(
    start_replica, start_gateway, http
):
    replica = await start_replica(state=ReplicaState.STANDBY)
    gateway = await start_gateway()
    asking = asyncio.create_task(fetch(http, gateway))
    await gateway.until(HELD, 1, model="tiny", priority="standard")
    await asyncio.sleep(0.1)
    replica.move(ReplicaState.SERVING)
    await asking
    ttft = gateway.value(f"{TTFT}_sum", **GEN_AI)

    assert 0.1 <= ttft <= gateway.value(f"{DURATION}_sum", **GEN_AI, error_type="")


async def test_a_whole_answer_without_timings_tells_no_first_token(
    start_replica, start_gateway, http
):
    async def terse(request, body):
        return web.json_response({"choices": []})

    await start_replica(behave=terse)
    gateway = await start_gateway()
    await fetch(http, gateway)

    assert gateway.value(f"{TTFT}_count", **GEN_AI) == 0
    assert gateway.value("warmfront_gateway_output_tokens_total", model="tiny") == 0


async def test_stages_of_an_answered_request_sum_to_its_duration(
    start_replica, start_gateway, http
):
    async def told(request, body):
        usage = {"prompt_tokens": 5, "completion_tokens": 3}
        await asyncio.sleep(0.15)
        return web.json_response(
            {"choices": [], "usage": usage}, headers={"X-Warmfront-Timings": TIMINGS}
        )

    await start_replica(behave=told)
    gateway = await start_gateway()
    await fetch(http, gateway)
    stages = {
        one.labels["stage"]: one.value
        for one in gateway.metrics.samples(0.0)
        if one.name == "warmfront_gateway_stage_seconds_sum" and one.value
    }
    duration = gateway.value(f"{DURATION}_sum", **GEN_AI, error_type="")

    assert {"gateway", "schedule", "prefill", "flush"} <= stages.keys()
    assert abs(sum(stages.values()) - duration) < 1e-6


async def test_metrics_lead_to_the_trace_that_the_caller_began(start_replica, start_gateway, http):
    await start_replica()
    gateway = await start_gateway()
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    async with http.post(gateway.url + CHAT, json=ask(stream=True), headers=headers) as response:
        await response.read()
    async with http.get(gateway.url + "/metrics", headers=OPEN_METRICS) as response:
        page = await response.text()

    assert response.content_type == "application/openmetrics-text"
    assert f'# {{trace_id="{trace}"}}' in page
    names = {one.name for one in gateway.spans.get_finished_spans()}
    assert {"chat tiny", "gateway", "prefill", "flush"} <= names
