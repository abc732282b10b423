"""vLLM's names for what our catalogue measures: a table, and a page that says it in them.

Routers, benchmarks and dashboards know these names, their labels `model_name` and `engine`, and
their meaning; where our families are finer than theirs, series are added up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from telemetry import catalog
from telemetry.catalog import Kind, Metric

_MODEL_LABELS = ("model", "gen_ai_request_model")


@dataclass(frozen=True, slots=True)
class Alias:
    """One of our families, or some of its series, under one of vLLM's names."""

    theirs: str
    ours: Metric
    where: Mapping[str, str] = field(default_factory=dict)  # labels that a series must have
    keep: Mapping[str, str] = field(default_factory=dict)  # our label -> theirs
    sign: int = 1  # -1 takes away what their meaning excludes


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """The KV cache of one model, as vLLM tells of it in labels."""

    model: str
    block_size: int  # tokens
    blocks: int


REPLICA = (
    Alias("vllm:num_requests_running", catalog.REPLICA_RUNNING),
    Alias("vllm:num_requests_waiting", catalog.REPLICA_WAITING),
    Alias("vllm:kv_cache_usage_perc", catalog.REPLICA_KV_USAGE),  # a ratio in theirs, too
    Alias("vllm:prompt_tokens", catalog.REPLICA_PREFILL_TOKENS),
    Alias("vllm:prompt_tokens", catalog.REPLICA_PREFIX_HIT),  # theirs counts what is cached, too
    Alias("vllm:generation_tokens", catalog.REPLICA_DECODE_TOKENS),
    Alias("vllm:num_preemptions", catalog.REPLICA_PREEMPTIONS),
    Alias("vllm:prefix_cache_queries", catalog.REPLICA_PREFIX_QUERIED),
    Alias("vllm:prefix_cache_hits", catalog.REPLICA_PREFIX_HIT),
    Alias("vllm:time_to_first_token_seconds", catalog.REPLICA_TTFT),
    Alias("vllm:inter_token_latency_seconds", catalog.REPLICA_ITL),
    Alias("vllm:request_queue_time_seconds", catalog.REPLICA_STAGE, where={"stage": "queue"}),
    Alias("vllm:request_prefill_time_seconds", catalog.REPLICA_STAGE, where={"stage": "prefill"}),
    Alias("vllm:request_decode_time_seconds", catalog.REPLICA_STAGE, where={"stage": "decode"}),
    Alias("vllm:request_success", catalog.REPLICA_FINISHED, keep={"reason": "finished_reason"}),
)
GATEWAY = (
    Alias("vllm:num_requests_running", catalog.GATEWAY_IN_FLIGHT),
    Alias("vllm:num_requests_running", catalog.GATEWAY_HELD, sign=-1),
    Alias("vllm:num_requests_waiting", catalog.GATEWAY_HELD),
    Alias("vllm:prompt_tokens", catalog.GATEWAY_INPUT_TOKENS),
    Alias("vllm:generation_tokens", catalog.GATEWAY_OUTPUT_TOKENS),
    Alias("vllm:time_to_first_token_seconds", catalog.TIME_TO_FIRST_TOKEN),
    Alias("vllm:inter_token_latency_seconds", catalog.INTER_TOKEN_LATENCY),
    Alias("vllm:request_time_per_output_token_seconds", catalog.TIME_PER_OUTPUT_TOKEN),
    Alias(
        "vllm:e2e_request_latency_seconds", catalog.REQUEST_DURATION, where={"error_type": ""}
    ),
)  # fmt: skip
_CACHE_CONFIG = "vllm:cache_config_info"


def vllm_page(
    families: Iterable[Family],
    *,
    names: Iterable[Alias] = (*REPLICA, *GATEWAY),
    caches: Iterable[CacheConfig] = (),
    engine: str = "0",
) -> tuple[bytes, str]:
    """Return a page in vLLM's names, in Prometheus' text format, and its content type.

    `families` is what a registry collects (`Metrics.families()`); those without a name in the
    table are left out, and so are names that none of them has series for.
    """
    found = {family.name: family for family in families}
    told: dict[str, _Series] = {}
    for alias in names:
        family = found.get(alias.ours.name.removesuffix("_total"))
        if family is not None and family.samples:
            series = told.setdefault(alias.theirs, _Series(alias.ours.help, alias.ours.kind))
            series.add(alias, family, engine)
    made = [series.family(name) for name, series in told.items()]
    encode, content_type = choose_encoder("")
    return encode(_Page([*made, *_config(caches, engine)])), content_type


@dataclass(frozen=True, slots=True)
class _Page(Collector):
    """Families as an encoder takes them."""

    families: Iterable[Family]

    def collect(self) -> Iterable[Family]:
        return self.families


@dataclass(frozen=True, slots=True)
class _Series:
    """The series of one of their names: sums of ours, by what follows the name, and labels."""

    help: str
    kind: Kind
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def add(self, alias: Alias, family: Family, engine: str) -> None:
        """Add the series of one of our families."""
        for sample in family.samples:
            if (
                sample.name.endswith("_created")
                or not alias.where.items() <= sample.labels.items()
            ):
                continue
            key = sample.name.removeprefix(family.name), _labels(alias, sample.labels, engine)
            self.sums[key] = self.sums.get(key, 0.0) + alias.sign * sample.value

    def family(self, name: str) -> Family:
        """Return all of it under a name."""
        made = Family(name, self.help, self.kind.value)
        for (suffix, labels), value in self.sums.items():
            made.add_sample(name + suffix, dict(labels), value)
        return made


def _labels(alias: Alias, ours: Mapping[str, str], engine: str) -> tuple[tuple[str, str], ...]:
    model = next((ours[name] for name in _MODEL_LABELS if name in ours), "")
    kept = ((theirs, ours[name]) for name, theirs in alias.keep.items())
    bound = (("le", ours["le"]),) if "le" in ours else ()
    return (("model_name", model), ("engine", engine), *kept, *bound)


def _config(caches: Iterable[CacheConfig], engine: str) -> list[Family]:
    """Return what is told in labels alone."""
    family = GaugeMetricFamily(
        _CACHE_CONFIG,
        "The KV cache of each model, in labels.",
        labels=("model_name", "engine", "block_size", "num_gpu_blocks"),
    )
    for one in caches:
        family.add_metric((one.model, engine, str(one.block_size), str(one.blocks)), 1.0)
    return [family] if family.samples else []
