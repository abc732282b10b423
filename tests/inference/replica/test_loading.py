from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from inference.models.precision import Lowering, Precision
from inference.models.repository import ModelConfig, OneModel
from inference.models.spec import ModelError
from inference.replica.generator import Generator
from inference.replica.loading import kv_blocks, load_hosted
from inference.replica.metrics import ReplicaMetrics
from inference.replica.settings import Batching, EngineSettings
from inference.runtimes.runtime import RuntimeMissingError
from telemetry.clock import SystemClock
from telemetry.publish import Metrics
from telemetry.tracing import open_tracing


def load(folder: Path, spans: InMemorySpanExporter | None = None, **engine: object) -> Generator:
    hosted = load_hosted(
        OneModel(folder, "tiny").versions("tiny")[0],
        EngineSettings(**engine),
        ReplicaMetrics(Metrics(), model="tiny", replica="r1"),
        tracer=open_tracing("replica", instance="r1", exporter=spans).tracer,
        clock=SystemClock(),
        before={"process": 1.5},
    )
    assert isinstance(hosted, Generator)
    return hosted


@pytest.mark.parametrize(
    ("memory", "blocks"),
    [
        pytest.param(2**30, 4 * 16 + 1, id="all slots at full context"),
        pytest.param(10 * 8192, 10, id="what the memory holds"),
        pytest.param(1, 2, id="at least one beside the null block"),
    ],
)
def test_the_cache_is_as_large_as_useful_and_affordable(memory: int, blocks: int):
    settings = EngineSettings(slots=4, kv_memory_bytes=memory)

    assert kv_blocks(settings, context=256, block_size=16, block_bytes=8192) == blocks


@pytest.mark.parametrize(("memory", "rows"), [(2**30, 5), (3 * 131072, 3)])
def test_rows_are_blocks_of_full_context(memory: int, rows: int):
    settings = EngineSettings(slots=4, kv_memory_bytes=memory)

    assert kv_blocks(settings, context=256, block_size=256, block_bytes=131072) == rows


def test_a_loaded_model_knows_its_context_and_its_cost(checkpoint: Path):
    loaded = load(checkpoint, min_iteration_seconds=0.25)

    assert loaded.served.engine.context == 256
    assert loaded.cost.fixed >= 0.249


def test_little_memory_bounds_the_context(checkpoint: Path):
    # A token of the tiny model: keys and values of 2 layers, 32 wide, in float32 = 512 bytes.
    loaded = load(checkpoint, kv_memory_bytes=11 * 16 * 512)

    assert loaded.served.engine.context == 160
    assert loaded.kv_bytes == 11 * 16 * 512


@pytest.mark.parametrize(
    "lowering", [Lowering.PAGED, Lowering.HOSTKV, Lowering.GQA, Lowering.ROWS]
)
@pytest.mark.parametrize("policy", Batching)
def test_lowerings_and_policies_are_passed_on(
    checkpoint: Path, lowering: Lowering, policy: Batching
):
    loaded = load(checkpoint, lowering=lowering, policy=policy, precision=Precision.FP32, slots=2)

    assert loaded.served.engine.stats().slots == 2
    assert loaded.served.engine.stats().kv.blocks == (32 if lowering.is_paged else 2)


def test_instances_have_a_cache_each(checkpoint: Path):
    one, two = load(checkpoint), load(checkpoint, instances=2)

    assert len(two.served.engines) == 2
    assert two.kv_bytes == 2 * one.kv_bytes


def test_a_tokenizer_larger_than_the_model_is_refused(new_checkpoint: Callable[..., Path]):
    with pytest.raises(ModelError, match="258 tokens, the model 200"):
        load(new_checkpoint(vocabulary=200))


def test_a_runtime_that_nobody_brings_is_refused(checkpoint: Path):
    with pytest.raises(RuntimeMissingError, match="no runtime 'abacus'"):
        load(checkpoint, runtime="abacus")


def test_every_phase_is_timed_and_traced(checkpoint: Path):
    spans = InMemorySpanExporter()
    metrics = ReplicaMetrics(Metrics(), model="tiny", replica="r1")
    load_hosted(
        OneModel(checkpoint, "tiny").versions("tiny")[0],
        EngineSettings(),
        metrics,
        tracer=open_tracing("replica", instance="r1", exporter=spans).tracer,
        clock=SystemClock(),
        before={"process": 1.5},
    )

    page = metrics.page({}, "")[0].decode()
    for phase in ("tokenizer", "library", "weights", "session", "kv", "profile"):
        assert f'phase="{phase}"' in page
    assert 'phase="process",replica="r1"} 1.5' in page
    names = [span.name for span in spans.get_finished_spans()]
    assert names[-1] == "load tiny"
    assert "runtime.weights" in names


def test_a_models_own_configuration_comes_first():
    usual = EngineSettings(slots=8, token_budget=300, lowering=Lowering.GQA)
    own = ModelConfig(
        slots=2, precision=Precision.FP32, kv_memory_mib=3, max_queue_delay_ms=7.0, instances=2
    )

    assert usual.for_model(own) == EngineSettings(
        slots=2, token_budget=300, lowering=Lowering.GQA, precision=Precision.FP32,
        kv_memory_bytes=3 * 2**20, max_queue_delay_seconds=0.007, instances=2,
    )  # fmt: skip
    assert usual.for_model(ModelConfig()) == usual
