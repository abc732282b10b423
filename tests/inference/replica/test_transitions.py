import asyncio
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from telemetry.lifecycle import ReplicaState
from tests.inference.seeing import data_url, picture, write_seeing

LONG = {"max_tokens": 100, "ignore_eos": True}


@pytest.mark.parametrize("level", [1, 2])
async def test_a_replica_that_wakes_answers_as_before(start, level: int):
    async with start() as one:
        before = await one.complete(max_tokens=20)

        assert await one.move("asleep", level=level) == (200, {"state": "asleep"})
        assert one.record.state is ReplicaState.ASLEEP
        status, body, headers = await one.post("/v1/completions", {})
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "asleep" in body["error"]["message"]
        assert (await one.get("/ready"))[0] == 503
        assert (await one.get("/health"))[1]["state"] == "asleep"

        assert await one.move("serving") == (200, {"state": "serving"})
        after = await one.complete(max_tokens=20)

    assert after["choices"] == before["choices"]


async def test_sleep_and_wake_are_timed_by_level_and_phase(start):
    async with start(state=ReplicaState.STANDBY) as one:
        await one.move("asleep", level=2)
        asleep = await one.metrics()
        await one.move("standby")
        await one.move("asleep", level=1)
        await one.move("standby")
        metrics = await one.metrics()
        spans = {span.name: span for span in one.spans.get_finished_spans()}

    def phase(level: int, name: str) -> float:
        labels = f'level="{level}",model="tiny",phase="{name}",replica="r1"'
        return metrics[f"warmfront_replica_wake_phase_seconds{{{labels}}}"]

    assert "warmfront_replica_kv_bytes" not in asleep
    assert metrics["warmfront_replica_kv_bytes"] > 0
    assert all(phase(2, name) > 0 for name in ("weights", "session", "kv"))
    assert all(phase(1, name) > 0 for name in ("session", "kv"))
    labels = 'level="2",model="tiny",moment="after",replica="r1"'
    assert metrics[f"warmfront_replica_sleep_memory_bytes{{{labels}}}"] > 1e6
    assert metrics['warmfront_replica_sleep_seconds{level="1",model="tiny",replica="r1"}'] >= 0
    assert spans["wake"].attributes["warmfront.wake.tiny.session_seconds"] > 0


async def test_a_model_that_sees_does_so_again_once_it_wakes(start, tmp_path: Path):
    content = [
        {"type": "image_url", "image_url": {"url": data_url(picture(seed=1))}},
        {"type": "text", "text": "?"},
    ]
    ask = {
        "model": "tiny", "messages": [{"role": "user", "content": content}],
        "temperature": 0, "max_tokens": 8,
    }  # fmt: skip
    async with start(model=write_seeing(tmp_path / "seeing"), instances=2) as one:
        before = await one.post("/v1/chat/completions", ask)
        for level in (1, 2):
            await one.move("asleep", level=level)
            await one.move("serving")
            after = await one.post("/v1/chat/completions", ask)
            assert (after[0], after[1]["choices"]) == (200, before[1]["choices"])
        metrics = await one.metrics()

    phase = 'level="2",model="tiny",phase="vision",replica="r1"'
    assert metrics[f"warmfront_replica_wake_phase_seconds{{{phase}}}"] > 0
    assert metrics["warmfront_replica_image_misses_total"] == 2  # the cache went with the stage
    assert metrics["warmfront_replica_image_hits_total"] == 1


async def test_sleep_waits_for_the_requests_in_flight(start):
    async with start(min_iteration_seconds=0.01) as one:
        in_flight = asyncio.create_task(one.complete(**LONG))
        await one.until_busy()

        assert await one.move("asleep") == (200, {"state": "asleep"})
        assert (await in_flight)["usage"]["completion_tokens"] == 100


async def test_sleep_that_would_wait_too_long_is_refused_and_serving_goes_on(start):
    async with start(min_iteration_seconds=0.02, drain_seconds=0.1) as one:
        in_flight = asyncio.create_task(one.complete(**LONG))
        await one.until_busy()

        status, body = await one.move("asleep")

        assert (status, body["error"]["code"]) == (409, "illegal_move")
        assert "requests are in flight after 0.1 s" in body["error"]["message"]
        assert one.record.state is ReplicaState.SERVING
        assert (await in_flight)["usage"]["completion_tokens"] == 100


async def test_vllms_endpoints_do_the_same(start):
    async with start() as one:
        key = {"Authorization": "Bearer the-admin-key"}

        async def is_sleeping() -> bool:
            async with one.http.get("/is_sleeping", headers=key) as answer:
                return (await answer.json())["is_sleeping"]

        assert not await is_sleeping()
        assert (await one.order("/wake_up"))[1] == {"state": "serving"}
        assert (await one.order("/sleep?level=2"))[1] == {"state": "asleep"}
        assert await is_sleeping()
        assert (await one.order("/sleep?level=2"))[1] == {"state": "asleep"}
        assert (await one.order("/wake_up"))[1] == {"state": "serving"}
        await one.complete()

        assert (await one.order("/sleep?level=3"))[0] == 400
        assert (await one.order("/sleep", key="wrong"))[0] == 401
        assert (await one.get("/is_sleeping"))[0] == 401


@pytest.mark.parametrize("level", [0, 3, "two"])
async def test_other_levels_are_refused(start, level: object):
    async with start(state=ReplicaState.STANDBY) as one:
        assert (await one.move("asleep", level=level))[0] == 400
        assert one.record.state is ReplicaState.STANDBY


async def test_going_from_one_level_to_the_other_takes_a_wake(start):
    async with start(state=ReplicaState.STANDBY) as one:
        await one.move("asleep", level=1)
        status, body = await one.move("asleep", level=2)

    assert status == 409
    assert body["error"]["message"] == "A replica cannot go from asleep to sleep level 2."


async def test_a_wake_that_fails_fails_the_replica(start, new_checkpoint: Callable[..., Path]):
    model = new_checkpoint()
    async with start(model=model) as one:
        await one.move("asleep", level=2)
        (model / "model.safetensors").unlink()

        status, body = await one.move("serving")

        assert status == 500
        assert "could not wake" in body["error"]["message"]
        assert await one.ended == 1
        assert one.record.state is ReplicaState.FAILED


async def test_a_sleeping_replica_can_leave(start):
    async with start() as one:
        await one.move("asleep", level=2)
        assert await one.move("draining") == (200, {"state": "draining"})

        assert await one.ended == 0
        assert one.record is None


async def test_whoever_gave_an_order_may_leave_before_it_is_done(start):
    async with start() as one:
        ask = asyncio.create_task(one.move("asleep", level=2))
        await asyncio.sleep(0)
        ask.cancel()
        await one.move("asleep", level=2)

        await one.reach(ReplicaState.ASLEEP)


async def test_orders_given_at_once_are_obeyed_one_after_another(start):
    async with start() as one:
        orders = [one.move(state) for state in ("asleep", "serving") * 4]
        assert {status for status, _ in await asyncio.gather(*orders)} == {200}

        await one.move("serving")
        await one.complete()


async def test_a_model_that_is_dropped_leaves_memory(start, new_checkpoint: Callable[..., Path]):
    model = new_checkpoint(hidden=512, feed_forward=2048, layers=6, heads=8, kv_heads=8)
    async with start(model=model, state=ReplicaState.STANDBY, precision="fp32") as one:
        loaded = psutil.Process().memory_info().rss
        await one.move("asleep", level=2)
        dropped = psutil.Process().memory_info().rss

    assert loaded - dropped > 100e6  # of 100 MB of weights and their prepared copy


async def test_a_request_that_never_arrives_in_full_holds_up_no_sleep(start):
    async with start(drain_seconds=0.2) as one:
        _, writer = await asyncio.open_connection("127.0.0.1", one.record.port)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: r\r\nContent-Length: 9\r\n\r\n{")
        await writer.drain()
        await one.complete()  # by now the other has been seen

        assert await one.move("asleep") == (200, {"state": "asleep"})
        writer.close()
        await writer.wait_closed()
