"""Several models in one replica, and orders after Triton's pattern."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from telemetry.lifecycle import ReplicaState

LONG = {"max_tokens": 100, "ignore_eos": True}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def put(repository: Path, checkpoint: Path) -> Callable[..., Path]:
    """Copies the tiny model into the repository: `put("a/1", config="slots = 2")`."""

    def copy(version: str, *, config: str | None = None) -> Path:
        folder = repository / version
        shutil.copytree(checkpoint, folder)
        if config is not None:
            (folder.parent / "config.toml").write_text(config)
        return folder

    return copy


def put_doubler(folder: Path) -> None:
    """Write a graph that doubles rows of three numbers."""
    folder.mkdir(parents=True)
    row = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 3]) for name in "xy"]
    node = helper.make_node("Add", ["x", "x"], ["y"])
    graph = helper.make_graph([node], "double", row[:1], row[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "model.onnx")


def states(index: list[dict[str, str]]) -> dict[str, str]:
    return {one["name"]: one["state"] for one in index}


async def test_every_model_is_listed_and_answers_under_its_own_name(start, put, repository: Path):
    put("a/1")
    put("b/1", config="slots = 3\ninstances = 2")
    async with start(repository=repository) as one:
        _, models = await one.get("/v1/models")
        answers = [await one.complete(model=name) for name in ("a", "b")]
        status, body, _ = await one.post("/v1/completions", {"model": "c", "prompt": "x"})
        _, health = await one.get("/health")
        metrics = await one.metrics()

    assert [model["id"] for model in models["data"]] == ["a", "b"]
    assert [answer["model"] for answer in answers] == ["a", "b"]
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert "'a', 'b'" in body["error"]["message"]
    assert (health["model"], health["slots"]) == ("tiny", 8 + 2 * 3)
    for model, slots in (("a", 8), ("b", 6)):
        labels = f'{{model="{model}",replica="r1"}}'
        assert metrics[f"warmfront_replica_slots{labels}"] == slots
        assert metrics[f"warmfront_replica_kv_bytes{labels}"] > 0
        assert metrics[f"warmfront_replica_decode_tokens_total{labels}"] == 8


async def test_the_record_tells_the_slots_of_all_models(start, put, repository: Path):
    put("a/1")
    put("b/1", config="slots = 3")
    async with start(repository=repository) as one:
        assert one.record.slots == 11
        await one.order("/v2/repository/models/a/unload")
        assert one.record.slots == 3


async def test_requests_go_to_the_least_busy_instance(start):
    async with start(instances=2, slots=1, min_iteration_seconds=0.01) as one:
        busy = [asyncio.create_task(one.complete(**LONG)) for _ in range(2)]
        await one.until("requests_running", lambda running: running == 2)
        engines = one.replica._host.models.find("tiny").engines

        assert [engine.stats().running for engine in engines] == [1, 1]
        first, second = await asyncio.gather(*busy)
        assert first["choices"] == second["choices"]


async def test_an_instance_that_fails_leaves_the_work_to_the_others(start):
    async with start(instances=2) as one:
        first, second = one.replica._host.models.find("tiny").engines
        await one.complete()
        assert (await one.metrics())["warmfront_replica_slots"] == 16
        first._fail("the engine failed: out of luck")
        await asyncio.gather(*(one.complete() for _ in range(4)))

        assert (await one.metrics())["warmfront_replica_slots"] == 8
        await one.move("asleep", level=2)
        await one.move("serving")
        await one.complete()
        second._fail("the engine failed: out of luck, too")
        assert await one.ended == 1
        assert one.record.state is ReplicaState.FAILED


async def test_a_broken_model_leaves_the_others_serving(start, put, repository: Path):
    put("a/1")
    (put("broken/1") / "model.safetensors").write_bytes(b"nothing of use")
    async with start(repository=repository) as one:
        await one.complete(model="a")
        status, body, _ = await one.post("/v1/completions", {"model": "broken", "prompt": "x"})
        _, index = await one.order("/v2/repository/index")
        _, ready = await one.order("/v2/repository/index", {"ready": True})
        page = await one.metrics()

    assert (status, body["error"]["code"]) == (503, "model_not_ready")
    assert str(repository) not in body["error"]["message"]  # clients need not know our files
    assert states(index) == {"a": "READY", "broken": "UNAVAILABLE"}
    assert "model.safetensors" in index[1]["reason"]
    assert [one["name"] for one in ready] == ["a"]
    failed = 'warmfront_replica_loads_total{model="broken",outcome="failed",replica="r1"}'
    assert page[failed] == 1


async def test_a_replica_with_nothing_but_broken_models_fails(start, put, repository: Path):
    (put("broken/1") / "config.json").unlink()
    async with start(repository=repository) as one:
        assert await one.ended == 1
        assert one.record.state is ReplicaState.FAILED


async def test_only_what_was_asked_for_is_loaded(start, put, repository: Path):
    put("a/1")
    put("b/1", config="preload = false")
    put("c/1")
    async with start(repository=repository) as one:
        assert states((await one.order("/v2/repository/index"))[1]) == {
            "a": "READY", "b": "UNAVAILABLE", "c": "READY",
        }  # fmt: skip


async def test_models_named_at_the_start_are_loaded_and_no_others(start, put, repository: Path):
    put("a/1")
    put("b/1", config="preload = false")
    async with start(repository=repository, load=("b",)) as one:
        assert states((await one.order("/v2/repository/index"))[1]) == {
            "a": "UNAVAILABLE", "b": "READY",
        }  # fmt: skip


async def test_loading_and_unloading_leave_streams_alone(start, put, repository: Path):
    put("a/1")
    put("b/1", config="preload = false")
    async with start(repository=repository, min_iteration_seconds=0.01) as one:
        ask = {"model": "a", "prompt": "once", "stream": True, "temperature": 0} | LONG
        async with one.http.post("/v1/completions", json=ask) as stream:
            assert await one.order("/v2/repository/models/b/load") == (200, {})
            await one.complete(model="b")
            assert await one.order("/v2/repository/models/b/unload") == (200, {})
            text = await stream.text()
        status, body, _ = await one.post("/v1/completions", {"model": "b", "prompt": "x"})

    assert text.endswith("data: [DONE]\n\n")
    assert '"finish_reason":"length"' in text
    assert (status, body["error"]["code"]) == (404, "model_not_found")


async def test_unloading_finishes_the_models_own_requests(start, put, repository: Path):
    put("a/1")
    put("b/1")
    async with start(repository=repository, min_iteration_seconds=0.01) as one:
        in_flight = asyncio.create_task(one.complete(model="a", **LONG))
        await one.until('requests_running{model="a",replica="r1"}', lambda running: running == 1)
        unloading = asyncio.create_task(one.order("/v2/repository/models/a/unload"))
        while "a" in one.replica._host.models.names():  # noqa: ASYNC110 - a test may look
            await asyncio.sleep(0.001)
        status, body, _ = await one.post("/v1/completions", {"model": "a", "prompt": "x"})

        assert (status, body["error"]["code"]) == (503, "model_not_ready")
        assert "being unloaded" in body["error"]["message"]
        assert (await in_flight)["usage"]["completion_tokens"] == 100
        assert (await unloading)[0] == 200
        page = await one.metrics()

    assert 'warmfront_replica_requests_running{model="a",replica="r1"}' not in page
    assert page['warmfront_replica_decode_tokens_total{model="a",replica="r1"}'] >= 99


async def test_what_is_unloaded_leaves_memory(start):
    async with start(instances=2) as one:
        (generator,) = one.replica._host._hosted()
        await one.order("/v2/repository/models/tiny/unload")

        assert [runtime._session for runtime in generator.runtimes] == [None, None]


async def test_a_load_that_fails_says_why_and_what_was_there_goes_on(start, put, repository: Path):
    folder = put("a/1")
    async with start(repository=repository) as one:
        (folder / "model.safetensors").write_bytes(b"nothing of use")
        status, body = await one.order("/v2/repository/models/a/load")
        await one.complete(model="a")
        _, index = await one.order("/v2/repository/index")

    assert (status, body["error"]["code"]) == (400, "load_failed")
    assert "model.safetensors" in body["error"]["message"]
    assert (index[0]["state"], index[0]["version"]) == ("READY", "1")
    assert "model.safetensors" in index[0]["reason"]


async def test_a_new_version_takes_over_from_the_old_one(start, put, repository: Path):
    put("a/1")
    async with start(repository=repository, min_iteration_seconds=0.01) as one:
        in_flight = asyncio.create_task(one.complete(model="a", **LONG))
        await one.until('requests_running{model="a",replica="r1"}', lambda running: running == 1)
        put("a/2")
        assert await one.order("/v2/repository/models/a/load") == (200, {})
        _, index = await one.order("/v2/repository/index")
        await one.complete(model="a:2")

        assert (await in_flight)["usage"]["completion_tokens"] == 100
        assert [line["version"] for line in index] == ["2"]


async def test_several_versions_answer_side_by_side(start, put, repository: Path):
    put("a/1", config='versions = "all"')
    put("a/2")
    async with start(repository=repository) as one:
        _, models = await one.get("/v1/models")
        answers = [(await one.complete(model=name))["model"] for name in ("a", "a:1", "a:2")]

    assert [model["id"] for model in models["data"]] == ["a:1", "a:2"]
    assert answers == ["a:2", "a:1", "a:2"]


async def test_models_that_answer_in_one_step_stand_beside_the_others(
    start, put, repository: Path
):
    put("a/1")
    put_doubler(repository / "double" / "1")
    ask = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}
    async with start(repository=repository) as one:
        for level in (1, 2):
            status, body, _ = await one.post("/v2/models/double/infer", ask)
            assert (status, body["outputs"][0]["data"]) == (200, [2.0, 4.0, 6.0])
            await one.move("asleep", level=level)
            assert (await one.post("/v2/models/double/infer", ask))[0] == 503
            await one.move("serving")
        chat = {"model": "double", "messages": [{"role": "user", "content": "hi"}]}
        status, body, _ = await one.post("/v1/chat/completions", chat)
        assert (status, body["error"]["param"]) == (400, "model")
        assert (await one.post("/v2/models/a/infer", ask))[0] == 400
        await one.complete(model="a")
        page = await one.metrics()

    batches = 'warmfront_replica_tensor_batch_size_count{model="double",replica="r1"}'
    assert page[batches] == 2
    assert np.isfinite(page[batches.replace("batch_size", "queue_seconds")])


async def test_models_are_neither_loaded_nor_dropped_while_the_replica_sleeps(
    start, put, repository: Path
):
    put("a/1")
    async with start(repository=repository) as one:
        await one.move("asleep")
        for order in ("load", "unload"):
            status, body = await one.order(f"/v2/repository/models/a/{order}")
            assert (status, body["error"]["code"]) == (409, "busy")
        await one.move("serving")
        await one.complete(model="a")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("models/nobody/load", {}, 404, id="unknown"),
        pytest.param("models/nobody/unload", {}, 404, id="unknown to unload"),
        pytest.param("models/..%2Fsecret/load", {}, 404, id="elsewhere"),
        pytest.param("models/a/load", {"parameters": {"config": "{}"}}, 400, id="parameters"),
        pytest.param("models/a/load", {"force": True}, 400, id="unknown field"),
        pytest.param("models/a/load", [1], 400, id="no object"),
        pytest.param("index", {"ready": "yes"}, 400, id="no truth value"),
    ],
)
async def test_orders_that_make_no_sense_are_refused(
    start, put, repository: Path, *, path: str, body: object, status: int
):
    put("a/1")
    async with start(repository=repository) as one:
        assert (await one.order(f"/v2/repository/{path}", body))[0] == status
        assert (await one.order(f"/v2/repository/{path}", body, key="wrong"))[0] == 401


async def test_a_single_model_can_be_unloaded_and_loaded_again(start):
    async with start() as one:
        assert await one.order("/v2/repository/models/tiny/unload") == (200, {})
        assert await one.order("/v2/repository/models/tiny/unload") == (200, {})
        assert (await one.get("/v1/models"))[1]["data"] == []
        assert (await one.post("/v1/completions", {"model": "tiny", "prompt": "x"}))[0] == 404

        assert await one.order("/v2/repository/models/tiny/load") == (200, {})
        await one.complete()


async def test_loads_asked_for_at_once_come_one_after_another(start, put, repository: Path):
    put("a/1")
    async with start(repository=repository) as one:
        orders = ["load", "unload", "load", "load"]
        answers = [one.order(f"/v2/repository/models/a/{order}") for order in orders]
        assert {status for status, _ in await asyncio.gather(*answers)} == {200}

        await one.complete(model="a")
