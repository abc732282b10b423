"""What a replica tells of itself: its load as the gateway reads it, and whether it is well."""

import asyncio
import shutil
import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inference.engine.profile import IterationCost
from inference.gateway.routing.load import Iteration, ModelLoad, parse_load
from inference.replica.load import load_page
from inference.replica.metrics import ModelGauges
from telemetry.clock import SystemClock
from telemetry.lifecycle import ReplicaState

LONG = {"max_tokens": 100, "ignore_eos": True}


class Ahead(SystemClock):
    """The machine's clock, set forward."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.seconds


class Hanging:
    """A runtime whose steps take until it is let go."""

    def __init__(self, runtime) -> None:
        self._runtime = runtime
        self.is_in, self.let_go = threading.Event(), threading.Event()

    def __getattr__(self, name: str):
        return getattr(self._runtime, name)

    def step(self, batch):
        self.is_in.set()
        assert self.let_go.wait(20.0)
        return self._runtime.step(batch)


def test_the_gateway_reads_what_the_replica_writes():
    seeing = ModelGauges(
        2, 3, 8, IterationCost(0.01, 0.001, 0.0001), waiting_tokens=70, context=256,
        progress_age=1.5, modalities=("text", "image"),
    )  # fmt: skip
    models = {"a": seeing, "b": ModelGauges(0, 1, 4, progress_age=0.5)}
    page = parse_load(
        load_page("r1", ReplicaState.SERVING, models, aliases={"a:1": "a", "c": "gone"}, steps=9)
    )

    assert page.progress_age == 1.5
    assert page.models == {
        "a": ModelLoad(
            2, 3, 70, 8, 0.0, Iteration(0.01, 0.001, 0.0001), 256, frozenset({"text", "image"})
        ),
        "a:1": page.models["a"],
        "b": ModelLoad(0, 1, 0, 4),
    }


async def test_the_load_is_told_while_there_is_some(start):
    async with start(slots=1, min_iteration_seconds=0.02) as one:
        _, idle = await one.get("/load")
        busy = [asyncio.create_task(one.complete(prompt="abcdefghi", **LONG)) for _ in range(2)]
        await one.until("decode_tokens_total", lambda tokens: tokens > 0)
        _, loaded = await one.get("/load")
        for task in busy:
            task.cancel()
        await one.until_idle()

    assert idle["models"].keys() == {"tiny", "tiny:1"}
    assert {key: idle[key] for key in ("id", "state", "steps", "progress_age")} == {
        "id": "r1", "state": "serving", "steps": 0, "progress_age": 0.0,
    }  # fmt: skip
    tiny = idle["models"]["tiny"]
    assert (tiny["running"], tiny["waiting_tokens"], tiny["context"]) == (0, 0, 256)
    assert tiny["modalities"] == ["text"]
    assert tiny["iteration"]["fixed"] >= 0.019
    assert loaded["steps"] > 0
    tiny = loaded["models"]["tiny"]
    assert (tiny["running"], tiny["waiting"], tiny["waiting_tokens"]) == (1, 1, 10)
    assert 0 < tiny["kv_usage"] <= 1


async def test_the_record_and_the_load_have_every_name_of_every_model(
    start, tmp_path: Path, checkpoint: Path
):
    repository = tmp_path / "models"
    for version in ("a/1", "b/1", "b/3"):
        shutil.copytree(checkpoint, repository / version)
    (repository / "b" / "config.toml").write_text('versions = "all"')
    told = {"region": "eu", "version": "v2"}
    async with start(repository=repository, told=told) as one:
        everything = set(one.record.models)
        steps_before = await _steps_after(one, "a")
        assert (await one.get("/load"))[1]["models"].keys() == everything
        await one.order("/v2/repository/models/a/unload")
        left = set(one.record.models)
        assert (await one.get("/load"))[1]["steps"] >= steps_before
        await one.order("/v2/repository/models/a/load")
        again = set(one.record.models)

        assert (one.record.region, one.record.version, one.record.device) == ("eu", "v2", "cpu")
    assert everything == again == {"a", "a:1", "b", "b:1", "b:3"}
    assert left == {"b", "b:1", "b:3"}


async def _steps_after(one, model: str) -> int:
    await one.complete(model=model)
    steps = (await one.get("/load"))[1]["steps"]
    assert steps >= 8
    return steps


async def test_a_replica_is_alive_unless_it_has_work_and_does_not_get_on(start):
    clock = Ahead()
    async with start(clock=clock, told={"stall_seconds": 20.0}) as one:
        core = one.replica._host.models.find("tiny").engine._core
        core._runtime = hanging = Hanging(core._runtime)
        clock.seconds += 1000.0
        assert (await one.get("/live"))[0] == 200  # idle

        asking = asyncio.create_task(one.complete())
        await asyncio.to_thread(hanging.is_in.wait, 10.0)
        clock.seconds += 15.0
        assert (await one.get("/live"))[0] == 200
        clock.seconds += 15.0
        status, body = await one.get("/live")
        assert (status, body["state"]) == (503, "serving")
        assert body["progress_age"] >= 30.0
        assert (await one.metrics())["warmfront_replica_progress_age_seconds"] >= 30.0

        hanging.let_go.set()
        await asking
        assert await one.get("/live") == (200, {"state": "serving", "progress_age": 0.0})


async def test_a_replica_that_loads_is_alive(start):
    async with start(reach=(ReplicaState.STARTING,)) as one:
        assert (await one.get("/live"))[0] == 200
        await one.reach(ReplicaState.SERVING)


async def test_vllms_names_are_told_where_asked_for(start):
    async with start(told={"vllm_names": True}) as one:
        await one.complete()
        async with one.http.get("/metrics/vllm") as answer:
            families = text_string_to_metric_families(await answer.text())
            samples = {one.name: one for family in families for one in family.samples}

    own = {"model_name": "tiny", "engine": "0"}
    assert samples["vllm:generation_tokens_total"].value == 8
    assert samples["vllm:generation_tokens_total"].labels == own
    assert samples["vllm:time_to_first_token_seconds_count"].value == 1
    assert samples["vllm:inter_token_latency_seconds_count"].value == 7
    assert samples["vllm:cache_config_info"].labels["block_size"] == "16"
    assert samples["vllm:num_requests_running"].value == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_vllms_names_are_not_told_otherwise(running):
    assert (await running.get("/metrics/vllm"))[0] == 404
