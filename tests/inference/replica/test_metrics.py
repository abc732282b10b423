from dataclasses import dataclass

import pytest

from inference.engine.batching import BatchReport
from inference.engine.engine import IterationReport
from inference.engine.kv_cache import KvAccount
from inference.engine.profile import IterationCost
from inference.engine.sequence import FinishReason, Timings
from inference.replica.answer import Piece
from inference.replica.metrics import ModelGauges, ReplicaMetrics
from inference.replica.token_times import TokenTimes
from telemetry.publish import Metrics, parse_page

POOL = KvAccount(
    blocks=10, used=4, cached=3, free=3, shared=2, used_slots=64, held_tokens=48,
    queried_tokens=100, hit_tokens=40,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Images:
    hits: int = 3
    misses: int = 2
    failures: int = 1
    decode_seconds: float = 0.5
    encode_seconds: float = 0.25
    batches: int = 1
    cached_bytes: int = 100


@pytest.fixture
def metrics() -> ReplicaMetrics:
    return ReplicaMetrics(Metrics(), model="a", replica="r1")


def read(metrics: ReplicaMetrics, **models: ModelGauges) -> dict[tuple[str, ...], float]:
    """Samples by the end of their name, their model and further labels, in order."""
    text = metrics.page(models, "")[0].decode()
    return {
        (
            one.name.removeprefix("warmfront_replica_"),
            *(value for name, value in sorted(one.labels.items()) if name != "replica"),
        ): one.value
        for one in parse_page(text, at=0.0, extra_labels={})
    }


def test_every_model_has_gauges_of_its_own(metrics: ReplicaMetrics):
    page = read(
        metrics, a=ModelGauges(running=1, waiting=2, slots=8), b=ModelGauges(3, 0, slots=4)
    )

    assert page["requests_running", "a"] == 1
    assert page["requests_waiting", "a"] == 2
    assert page["requests_running", "b"] == 3
    assert page["slots", "b"] == 4


def test_a_model_that_is_gone_leaves_its_counters_only(metrics: ReplicaMetrics):
    metrics.of("b").iterated(IterationReport(0.5, 2, 10, 3))
    read(metrics, b=ModelGauges(1, 0, 8))
    page = read(metrics)

    assert ("requests_running", "b") not in page
    assert page["prefill_tokens_total", "b"] == 10


def test_the_parts_of_iterations_add_up(metrics: ReplicaMetrics):
    report = IterationReport(
        0.5, 2, 10, 3, plan_seconds=0.01, run_seconds=0.4, sample_seconds=0.02, preemptions=1
    )
    for _ in range(2):
        metrics.of("a").iterated(report)
    page = read(metrics)

    assert page["iteration_part_seconds_total", "a", "plan"] == pytest.approx(0.02)
    assert page["iteration_part_seconds_total", "a", "run"] == pytest.approx(0.8)
    assert page["iteration_part_seconds_total", "a", "sample"] == pytest.approx(0.04)
    assert page["preemptions_total", "a"] == 2


def test_tokens_tell_their_first_and_the_gaps_after_it_by_choice(metrics: ReplicaMetrics):
    times = TokenTimes(metrics.of("a"))
    for choice, decode, finish in (
        (0, 0.0, None), (1, 0.0, None), (0, 0.25, None), (1, 1.0, FinishReason.STOP),
        (0, 1.25, FinishReason.LENGTH),
    ):  # fmt: skip
        times.observe(Piece(choice, "", 1, Timings(0.5, 0.25, decode, encode=9.0), finish))
    page = read(metrics)

    assert page["time_to_first_token_seconds_count", "a"] == 1
    assert page["time_to_first_token_seconds_sum", "a"] == 0.75
    assert page["inter_token_latency_seconds_count", "a"] == 3
    assert page["inter_token_latency_seconds_sum", "a"] == 2.25
    assert page["finished_total", "a", "stop"] == page["finished_total", "a", "length"] == 1


def test_stages_that_a_request_had_are_observed(metrics: ReplicaMetrics):
    metrics.of("a").answered(Timings(0.5, 0.25, 1.0, device=0.75))
    page = read(metrics)

    assert page["stage_seconds_count", "a", "encode"] == 0  # it had no images
    assert page["stage_seconds_sum", "a", "device"] == 0.75
    metrics.of("a").answered(Timings(0.5, 0.25, 1.0, encode=2.0))
    assert read(metrics)["stage_seconds_sum", "a", "encode"] == 2.0


def test_steps_are_those_of_all_models_ever(metrics: ReplicaMetrics):
    for model in ("a", "b", "b"):
        metrics.of(model).iterated(IterationReport(0.5, 2, 10, 3))

    assert metrics.steps == 3


def test_the_caches_of_all_instances_are_told_as_one(metrics: ReplicaMetrics):
    page = read(metrics, a=ModelGauges(1, 0, 8, kv=(POOL, POOL), kv_bytes=2048))

    assert page["kv_usage_ratio", "a"] == 0.4
    assert page["kv_waste_ratio", "a"] == 0.25
    assert page["kv_bytes", "a"] == 2048
    assert [page["kv_blocks", "a", state] for state in ("used", "cached", "free", "shared")] == [
        8, 6, 6, 4,
    ]  # fmt: skip


def test_prefix_hits_are_counted_once_however_often_they_are_read(metrics: ReplicaMetrics):
    for _ in range(3):
        page = read(metrics, a=ModelGauges(1, 0, 8, kv=(POOL,), kv_bytes=1))

    assert page["prefix_queried_tokens_total", "a"] == 100
    assert page["prefix_hit_tokens_total", "a"] == 40


def test_a_model_that_is_loaded_anew_counts_on(metrics: ReplicaMetrics):
    young = KvAccount(10, 0, 0, 10, 0, 0, 0, queried_tokens=5, hit_tokens=0)
    metrics.settle("a", ModelGauges(1, 0, 8, kv=(POOL,), kv_bytes=1))
    page = read(metrics, a=ModelGauges(1, 0, 8, kv=(young,), kv_bytes=1))

    assert page["prefix_queried_tokens_total", "a"] == 105
    assert page["prefix_hit_tokens_total", "a"] == 40
    assert page["kv_waste_ratio", "a"] == 0


def test_a_sleeping_model_has_no_cache_to_tell_of(metrics: ReplicaMetrics):
    page = read(metrics, a=ModelGauges(0, 0, 8, IterationCost(0.1, 0.01, 0.001)))

    assert ("kv_usage_ratio", "a") not in page
    assert page["iteration_fixed_seconds", "a"] == 0.1


def test_pictures_are_counted(metrics: ReplicaMetrics):
    for _ in range(2):
        page = read(metrics, a=ModelGauges(0, 0, 8, images=Images()))

    assert page["image_hits_total", "a"] == 3
    assert page["image_misses_total", "a"] == 2
    assert page["image_failures_total", "a"] == 1
    assert page["image_batches_total", "a"] == 1
    assert page["image_encode_seconds_total", "a"] == 0.25


def test_batches_of_one_step_models_are_counted(metrics: ReplicaMetrics):
    metrics.of("a").batched(BatchReport(5, (0.1, 0.2), 0.3, 0))
    page = read(metrics)

    assert page["tensor_batch_size_sum", "a"] == 5
    assert page["tensor_queue_seconds_count", "a"] == 2
    assert page["tensor_queue_seconds_sum", "a"] == pytest.approx(0.3)


def test_loads_are_counted_by_outcome_and_timed_by_phase(metrics: ReplicaMetrics):
    metrics.of("a").loaded("loaded", {"weights": 1.5})
    metrics.of("a").loaded("failed", {})
    page = read(metrics)

    assert page["loads_total", "a", "loaded"] == 1
    assert page["loads_total", "a", "failed"] == 1
    assert page["load_phase_seconds", "a", "weights"] == 1.5


def test_sleep_and_wake_are_told_by_level(metrics: ReplicaMetrics):
    metrics.slept(2, 0.25, before=3000, after=1000)
    metrics.of("a").woken(2, {"weights": 0.5, "kv": 0.125})
    page = read(metrics)

    assert page["sleep_seconds", "2", "a"] == 0.25
    assert page["sleep_memory_bytes", "2", "a", "before"] == 3000
    assert page["sleep_memory_bytes", "2", "a", "after"] == 1000
    assert page["wake_phase_seconds", "2", "a", "weights"] == 0.5
