import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.replica.replica import Replica
from inference.replica.settings import DeviceKind, EngineSettings, ReplicaSettings
from inference.runtimes.runtime import SleepLevel
from telemetry.clock import SystemClock
from telemetry.lifecycle import ReplicaState

LONG = {
    "model": "tiny", "prompt": "once", "max_tokens": 40, "temperature": 0, "ignore_eos": True,
}  # fmt: skip


async def test_a_replica_is_seen_before_its_model_is_loaded(start):
    async with start(reach=(ReplicaState.STARTING,)) as one:
        seen = await one.reach(ReplicaState.STARTING, ReplicaState.STANDBY, ReplicaState.SERVING)

        assert seen.port > 0
        assert (await one.get("/health"))[0] == 200
        await one.reach(ReplicaState.SERVING)


async def test_draining_finishes_what_is_in_flight_and_refuses_the_rest(start):
    async with start(min_iteration_seconds=0.01) as one:
        in_flight = asyncio.create_task(one.post("/v1/completions", LONG))
        await one.until_busy()

        assert await one.move("draining") == (200, {"state": "draining"})
        status, body, headers = await one.post("/v1/completions", LONG)

        assert (status, headers["Retry-After"]) == (503, "1")
        assert "draining" in body["error"]["message"]
        status, body, _ = await in_flight
        assert status == 200
        assert body["usage"]["completion_tokens"] == 40
        assert await one.ended == 0
        assert one.record is None


async def test_draining_ends_after_its_time_and_says_so(start):
    async with start(min_iteration_seconds=0.05, drain_seconds=0.2) as one:
        whole = asyncio.create_task(one.post("/v1/completions", LONG))
        streamed = await one.http.post("/v1/completions", json=LONG | {"stream": True})
        await one.until_busy()
        one.replica.drain()

        status, body, _ = await whole
        events = (await streamed.text()).split("\n\n")

        assert (status, body["error"]["code"]) == (503, "replica_stopped")
        assert json.loads(events[-2].removeprefix("data: "))["error"]["code"] == "replica_stopped"
        assert await one.ended == 0


async def test_a_replica_without_work_refuses_newcomers_for_a_notice_before_it_closes(start):
    async with start(notice_seconds=0.4) as one:
        one.replica.drain()
        await one.reach(ReplicaState.DRAINING)
        refused = [await one.post("/v1/completions", LONG) for _ in range(3)]
        assert not one.ended.done()
        await one.ended

        assert [status for status, _, _ in refused] == [503, 503, 503]
        assert one.record is None


async def test_what_drained_is_counted(start):
    async with start(min_iteration_seconds=0.02, drain_seconds=0.3, notice_seconds=1.0) as one:
        short = asyncio.create_task(one.post("/v1/completions", LONG | {"max_tokens": 5}))
        long = asyncio.create_task(one.post("/v1/completions", LONG | {"max_tokens": 200}))
        await one.until("requests_running", lambda running: running == 2)
        one.replica.drain()
        assert [(await short)[0], (await long)[0]] == [200, 503]
        metrics = await one.metrics()

    series = 'warmfront_replica_drained_requests_total{{model="tiny",outcome="{}",replica="r1"}}'
    assert metrics[series.format("finished")] == 1
    assert metrics[series.format("killed")] == 1


async def test_a_replica_told_to_drain_while_loading_just_leaves(start):
    async with start(reach=(ReplicaState.STARTING, ReplicaState.STANDBY)) as one:
        one.replica.drain()

        assert await one.ended == 0
        assert one.record is None


async def test_a_model_that_cannot_be_loaded_leaves_a_failed_record(
    start, new_checkpoint: Callable[..., Path]
):
    broken = new_checkpoint()
    (broken / "model.safetensors").write_bytes(b"not safetensors")

    async with start(model=broken) as one:
        assert await one.ended == 1
        assert one.record.state is ReplicaState.FAILED


async def test_a_tokenizer_of_another_model_is_refused(start, new_checkpoint: Callable[..., Path]):
    async with start(model=new_checkpoint(vocabulary=200)) as one:
        assert await one.ended == 1
        assert one.record.state is ReplicaState.FAILED


async def test_an_engine_that_fails_fails_the_replica(start, checkpoint: Path):
    async with start(min_iteration_seconds=0.02) as one:
        in_flight = asyncio.create_task(one.post("/v1/completions", LONG))
        await one.until_busy()
        one.replica._host.models.find("tiny").engine._core._runtime.sleep(SleepLevel.NOTHING)

        status, body, _ = await in_flight

        assert status == 503
        assert "the engine failed" in body["error"]["message"]
        assert await one.ended == 1
        assert one.record.state is ReplicaState.FAILED


async def test_a_port_in_use_is_an_os_error(start, tmp_path: Path, checkpoint: Path):
    async with start() as one:
        settings = ReplicaSettings(
            id="r2",
            model_dir=checkpoint,
            model_name="tiny",
            table=tmp_path / "other",
            admin_key="key",
            port=one.record.port,
        )
        second = Replica(settings, tracer=one.replica._tracer, clock=SystemClock())

        with pytest.raises(OSError, match="address already in use"):
            await second.run()


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"id": "../evil"}, id="path as id"),
        pytest.param({"id": ".hidden"}, id="hidden id"),
        pytest.param({"id": ""}, id="no id"),
        pytest.param({"admin_key": ""}, id="no key"),
        pytest.param({"state": ReplicaState.DRAINING}, id="state"),
        pytest.param({"notice_seconds": -1.0}, id="notice"),
        pytest.param({"stall_seconds": float("nan")}, id="stall"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, wrong: dict[str, object]):
    right = {
        "id": "r1", "model_dir": tmp_path, "model_name": "m", "table": tmp_path,
        "admin_key": "key",
    }  # fmt: skip

    with pytest.raises(ValueError, match=r"expected|empty"):
        ReplicaSettings(**right | wrong)


@pytest.mark.parametrize(
    ("runtime", "stated", "device"),
    [
        pytest.param("onnx", None, "cpu", id="onnx computes on the CPU"),
        pytest.param("onnx-cuda", None, "gpu", id="others on a GPU"),
        pytest.param("auto", None, "", id="not known before the load"),
        pytest.param("tensorrt", DeviceKind.MIG, "mig", id="as stated"),
    ],
)
def test_the_kind_of_device_follows_from_the_runtime_unless_stated(
    tmp_path: Path, runtime: str, stated: DeviceKind | None, device: str
):
    settings = ReplicaSettings(
        id="r1", model_dir=tmp_path, model_name="m", table=tmp_path, admin_key="key",
        device_kind=stated, engine=EngineSettings(runtime=runtime),
    )  # fmt: skip

    assert settings.device == device


def test_the_key_is_not_shown(tmp_path: Path):
    settings = ReplicaSettings(
        id="r1", model_dir=tmp_path, model_name="m", table=tmp_path, admin_key="hush",
        engine=EngineSettings(),
    )  # fmt: skip

    assert "hush" not in repr(settings)
