import asyncio
import io

import pytest

from inference.replica.server import MAX_BODY_BYTES
from telemetry.lifecycle import ReplicaState
from tests.inference.replica.conftest import ADMIN_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_health_says_who_and_how_busy(running):
    status, body = await running.get("/health")

    assert status == 200
    assert body == {
        "id": "r1",
        "model": "tiny",
        "state": "serving",
        "since": running.record.since,
        "running": 0,
        "waiting": 0,
        "slots": 8,
    }


async def test_the_model_is_listed(running):
    status, body = await running.get("/v1/models")

    assert status == 200
    assert [model["id"] for model in body["data"]] == ["tiny"]


async def test_only_a_serving_replica_is_ready_and_answers(start):
    async with start(state=ReplicaState.STANDBY) as one:
        status, body, headers = await one.post("/v1/completions", {})
        assert status == 503
        assert body["error"]["code"] == "replica_not_serving"
        assert "standby" in body["error"]["message"]
        assert headers["Retry-After"] == "1"
        assert (await one.get("/ready"))[0] == 503
        assert (await one.get("/v1/models"))[0] == 200

        assert await one.move("serving") == (200, {"state": "serving"})
        assert (await one.get("/ready"))[0] == 200
        assert one.record.state is ReplicaState.SERVING
        await one.complete()

        assert await one.move("standby") == (200, {"state": "standby"})
        assert (await one.post("/v1/chat/completions", {}))[0] == 503


async def test_ordering_the_present_state_again_is_fine(running):
    assert await running.move("serving") == (200, {"state": "serving"})


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "the-admin-key", "Bearer \u00e9"]
)
async def test_orders_need_the_admin_key(running, header: str | None):
    headers = {} if header is None else {"Authorization": header}

    status, body, _ = await running.post("/admin/lifecycle", {"state": "draining"}, **headers)

    assert status == 401
    assert body["error"]["code"] == "invalid_api_key"
    assert running.record.state is ReplicaState.SERVING


@pytest.mark.parametrize("state", ["starting", "failed", 5, None])
async def test_orders_for_other_states_are_refused(running, state: object):
    assert (await running.move(state))[0] == 400


async def test_an_illegal_move_is_a_conflict(start):
    async with start(min_iteration_seconds=0.05, drain_seconds=1.0) as one:
        busy = asyncio.create_task(one.complete(max_tokens=100))
        await one.until_busy()
        assert (await one.move("draining"))[0] == 200

        status, body = await one.move("serving")

        assert status == 409
        assert body["error"]["message"] == "A replica cannot go from draining to serving."
        busy.cancel()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/v1/completions", 405), ("POST", "/health", 405)],
)
async def test_wrong_addresses_are_answered_in_openais_shape(
    running, method: str, path: str, status: int
):
    async with running.http.request(method, path) as answer:
        body = await answer.json()

    assert answer.status == status
    assert path in body["error"]["message"]


async def test_a_body_beyond_all_measure_is_refused(running):
    body = io.BytesIO(b"x" * (MAX_BODY_BYTES + 1))
    async with running.http.post("/v1/completions", data=body) as answer:
        assert answer.status == 413
        assert (await answer.json())["error"]["type"] == "invalid_request_error"


async def test_a_body_that_is_not_what_its_headers_say_is_the_clients_fault(running):
    headers = {"Content-Encoding": "gzip"}
    async with running.http.post("/v1/completions", data=b"abc", headers=headers) as answer:
        assert answer.status == 400
        assert "headers" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b"{"])
async def test_an_order_that_is_no_json_is_refused(running, body: bytes):
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with running.http.post("/v2/repository/index", data=body, headers=headers) as answer:
        assert answer.status == 400
        assert "not JSON" in (await answer.json())["error"]["message"]


async def test_garbage_on_the_wire_does_not_hurt_the_others(running):
    reader, writer = await asyncio.open_connection("127.0.0.1", running.record.port)
    writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    await reader.read()
    writer.close()

    await running.complete()


async def test_the_page_holds_the_catalogues_metrics(start):
    async with start() as one:
        before = await one.metrics()
        await one.complete(prompt="abcdefghi", max_tokens=5)
        after = await one.metrics()

    assert before["warmfront_replica_iterations_total"] == 0
    assert after["warmfront_replica_prefill_tokens_total"] == 10
    assert after["warmfront_replica_decode_tokens_total"] == 5
    assert after["warmfront_replica_iterations_total"] == 5
    assert after["warmfront_replica_slots"] == 8
    assert after["warmfront_replica_requests_running"] == 0
    assert after["warmfront_replica_kv_usage_ratio"] == 0
    assert after["warmfront_replica_busy_seconds_total"] > 0
    assert after["warmfront_replica_memory_bytes"] > 1e6
    assert after["warmfront_replica_iteration_fixed_seconds"] >= 0
    assert after["warmfront_replica_paced_iteration_seconds"] == 0


async def test_pacing_is_told(start):
    async with start(min_iteration_seconds=0.02) as one:
        metrics = await one.metrics()

    assert metrics["warmfront_replica_paced_iteration_seconds"] == 0.02
    assert metrics["warmfront_replica_iteration_fixed_seconds"] >= 0.019


async def test_every_stage_of_a_request_is_observed(running):
    before = await running.metrics()
    await running.complete()
    after = await running.metrics()

    for stage in ("queue", "prefill", "decode", "device"):
        count = "warmfront_replica_stage_seconds_count"
        series = f'{count}{{model="tiny",replica="r1",stage="{stage}"}}'
        assert after[series] == before[series] + 1
