import pytest
from prometheus_client.parser import text_string_to_metric_families

from telemetry import catalog
from telemetry.publish import Metrics
from telemetry.vllm_names import GATEWAY, REPLICA, CacheConfig, vllm_page

OWN = {"model": "m", "replica": "r1"}
VLLM = {"model_name": "m", "engine": "0"}
ORDER = ("model_name", "engine", "le", "finished_reason", "block_size", "num_gpu_blocks")


def read(metrics: Metrics, **more: object) -> dict[tuple[str, ...], float]:
    """Samples by name and the values of their labels, in an order of our own."""
    text = vllm_page(metrics.families(), **more)[0].decode()
    return {
        (sample.name, *(sample.labels[one] for one in ORDER if one in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_gauges_and_counters_have_their_names_and_labels():
    metrics = Metrics()
    metrics.gauge(catalog.REPLICA_RUNNING).labels(**OWN).set(3)
    metrics.gauge(catalog.REPLICA_KV_USAGE).labels(**OWN).set(0.25)
    metrics.counter(catalog.REPLICA_DECODE_TOKENS).labels(**OWN).inc(7)
    metrics.counter(catalog.REPLICA_FINISHED).labels(**OWN, reason="stop").inc(2)
    page, content_type = vllm_page(metrics.families())
    families = {one.name: one for one in text_string_to_metric_families(page.decode())}

    assert content_type.startswith("text/plain")
    assert families.keys() == {
        "vllm:num_requests_running", "vllm:kv_cache_usage_perc", "vllm:generation_tokens",
        "vllm:request_success",
    }  # fmt: skip
    assert families["vllm:num_requests_running"].type == "gauge"
    assert families["vllm:generation_tokens"].type == "counter"
    (running,) = families["vllm:num_requests_running"].samples
    assert (running.labels, running.value) == (VLLM, 3)
    (finished,) = families["vllm:request_success"].samples
    assert finished.name == "vllm:request_success_total"
    assert finished.labels == VLLM | {"finished_reason": "stop"}


def test_a_stage_is_a_histogram_of_its_own():
    metrics = Metrics()
    stage = metrics.histogram(catalog.REPLICA_STAGE)
    stage.labels(**OWN, stage="queue").observe(0.02)
    stage.labels(**OWN, stage="encode").observe(9.0)
    page = read(metrics)

    name = "vllm:request_queue_time_seconds"
    assert page[f"{name}_count", "m", "0"] == 1
    assert page[f"{name}_sum", "m", "0"] == pytest.approx(0.02)
    assert page[f"{name}_bucket", "m", "0", "0.01"] == 0
    assert page[f"{name}_bucket", "m", "0", "+Inf"] == 1
    assert not any("encode" in key[0] or "prefill" in key[0] for key in page)


def test_prompt_tokens_are_those_computed_and_those_cached():
    metrics = Metrics()
    metrics.counter(catalog.REPLICA_PREFILL_TOKENS).labels(**OWN).inc(30)
    metrics.counter(catalog.REPLICA_PREFIX_HIT).labels(**OWN).inc(12)
    page = read(metrics)

    assert page["vllm:prompt_tokens_total", "m", "0"] == 42
    assert page["vllm:prefix_cache_hits_total", "m", "0"] == 12


def test_what_a_gateway_divides_further_is_added_up():
    metrics = Metrics()
    metrics.gauge(catalog.GATEWAY_IN_FLIGHT).labels(model="m").set(9)
    held = metrics.gauge(catalog.GATEWAY_HELD)
    held.labels(model="m", priority="standard").set(3)
    held.labels(model="m", priority="batch").set(2)
    ttft = metrics.histogram(catalog.TIME_TO_FIRST_TOKEN)
    for operation in ("chat", "text_completion"):
        ttft.labels(
            gen_ai_request_model="m",
            gen_ai_operation_name=operation,
            gen_ai_provider_name="warmfront",
        ).observe(0.3)
    page = read(metrics)

    assert page["vllm:num_requests_waiting", "m", "0"] == 5
    assert page["vllm:num_requests_running", "m", "0"] == 4
    assert page["vllm:time_to_first_token_seconds_count", "m", "0"] == 2
    assert page["vllm:time_to_first_token_seconds_bucket", "m", "0", "0.25"] == 0
    assert page["vllm:time_to_first_token_seconds_bucket", "m", "0", "0.5"] == 2


def test_the_cache_is_told_in_labels():
    page = read(Metrics(), caches=[CacheConfig("m", block_size=16, blocks=1024)])

    assert page == {("vllm:cache_config_info", "m", "0", "16", "1024"): 1}


def test_nothing_measured_says_nothing():
    assert vllm_page(Metrics().families())[0].strip() == b""


def test_models_do_not_mix_and_their_names_are_escaped():
    metrics = Metrics()
    for value, model in enumerate(("m", 'odd "name"\\'), start=1):
        metrics.gauge(catalog.REPLICA_WAITING).labels(model=model, replica="r").set(value)
    page = read(metrics)

    assert page["vllm:num_requests_waiting", "m", "0"] == 1
    assert page["vllm:num_requests_waiting", 'odd "name"\\', "0"] == 2


@pytest.mark.parametrize("names", [REPLICA, GATEWAY], ids=["replica", "gateway"])
def test_one_name_has_one_kind_and_asks_for_labels_that_exist(names):
    kinds = {}
    for alias in names:
        assert kinds.setdefault(alias.theirs, alias.ours.kind) is alias.ours.kind
        assert {*alias.where, *alias.keep} <= set(alias.ours.labels)
        if alias.ours.kind is catalog.Kind.HISTOGRAM:
            assert sum(one.theirs == alias.theirs for one in names) == 1
