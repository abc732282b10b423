"""A replica's metrics, by the catalogue: counted as things happen, gauged when asked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from inference.engine.engine import IterationReport
from inference.engine.kv_cache import KvAccount
from inference.engine.profile import IterationCost
from inference.engine.sequence import FinishReason, Timings
from inference.replica.process import resident_bytes
from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.publish import Metrics
from telemetry.vllm_names import REPLICA, CacheConfig, vllm_page

if TYPE_CHECKING:
    from inference.engine.batching import BatchReport
    from inference.replica.images import ImageStats

_STAGES = ("encode", "queue", "prefill", "decode", "device")
_PARTS = ("plan", "run", "sample")


class Phase(StrEnum):
    """How far a request had come when its client left."""

    BEFORE = "before_first_token"
    AFTER = "after_first_token"


@dataclass(frozen=True, slots=True)
class ModelGauges:
    """Where one model stands."""

    running: int
    waiting: int
    slots: int
    cost: IterationCost | None = None  # of models that generate
    paced_seconds: float = 0.0
    kv: tuple[KvAccount, ...] = ()  # of each instance; none while asleep
    kv_bytes: int = 0
    block_size: int = 0  # tokens in one KV block
    images: "ImageStats | None" = None  # of models that see
    waiting_tokens: int = 0  # to be computed until every request decodes
    progress_age: float = 0.0  # seconds without a step, while there is work
    context: int | None = None  # most tokens of one sequence
    modalities: tuple[str, ...] = ()  # of what it is asked with

    @property
    def kv_usage(self) -> float:
        """Share of the KV blocks of all instances that is in use, 0 to 1."""
        blocks = sum(one.blocks for one in self.kv)
        return sum(one.used for one in self.kv) / blocks if blocks else 0.0

    @property
    def in_flight(self) -> int:
        """Requests that run or wait."""
        return self.running + self.waiting


class ModelMetrics:
    """The counters of one model; `iterated` is called from the threads of its engines."""

    def __init__(self, metrics: Metrics, *, model: str, replica: str) -> None:
        self._own = own = {"model": model, "replica": replica}
        self._metrics = metrics
        self._totals: dict[Metric, float] = {}
        self._busy = metrics.counter(catalog.REPLICA_BUSY).labels(**own)
        self._iterations = metrics.counter(catalog.REPLICA_ITERATIONS).labels(**own)
        self._prefill = metrics.counter(catalog.REPLICA_PREFILL_TOKENS).labels(**own)
        self._decode = metrics.counter(catalog.REPLICA_DECODE_TOKENS).labels(**own)
        self._preemptions = metrics.counter(catalog.REPLICA_PREEMPTIONS).labels(**own)
        self._batch = metrics.histogram(catalog.REPLICA_BATCH_SIZE).labels(**own)
        stage = metrics.histogram(catalog.REPLICA_STAGE)
        self._stages = {name: stage.labels(**own, stage=name) for name in _STAGES}
        part = metrics.counter(catalog.REPLICA_ITERATION_PART)
        self._plan, self._run, self._sample = (part.labels(**own, part=name) for name in _PARTS)
        # Asked once for each token: what is bound here costs no look-up there.
        self.first_token = metrics.histogram(catalog.REPLICA_TTFT).labels(**own).observe
        self.gap = metrics.histogram(catalog.REPLICA_ITL).labels(**own).observe
        ended = metrics.counter(catalog.REPLICA_FINISHED)
        self._ended = {reason: ended.labels(**own, reason=reason.value) for reason in FinishReason}
        left = metrics.counter(catalog.REPLICA_CANCELLED)
        self._left = {phase: left.labels(**own, phase=phase.value) for phase in Phase}

    def iterated(self, report: IterationReport) -> None:
        """Count one iteration of an engine."""
        self._busy.inc(report.seconds)
        self._iterations.inc()
        self._prefill.inc(report.prefill_tokens)
        self._decode.inc(report.generated_tokens)
        self._batch.observe(report.sequences)
        self._plan.inc(report.plan_seconds)
        self._run.inc(report.run_seconds)
        self._sample.inc(report.sample_seconds)
        self._preemptions.inc(report.preemptions)

    def answered(self, timings: Timings) -> None:
        """Note the stages of a request that was answered to its end."""
        for name, series in self._stages.items():
            seconds: float = getattr(timings, name)
            if name != "encode" or seconds:  # few requests have that stage
                series.observe(seconds)

    def ended(self, reason: FinishReason) -> None:
        """Count a choice that came to its end."""
        self._ended[reason].inc()

    def cancelled(self, phase: Phase) -> None:
        """Count a request whose client left."""
        self._left[phase].inc()

    def batched(self, report: "BatchReport") -> None:
        """Count one batch of a model that answers in one step."""
        queue = self._metrics.histogram(catalog.REPLICA_TENSOR_QUEUE).labels(**self._own)
        self._metrics.histogram(catalog.REPLICA_TENSOR_BATCH).labels(**self._own).observe(
            report.rows
        )
        for seconds in report.queue_seconds:
            queue.observe(seconds)

    def loaded(self, outcome: str, phases: Mapping[str, float]) -> None:
        """Count a load that ended as `loaded` or `failed`; state what its phases took."""
        loads = self._metrics.counter(catalog.REPLICA_LOADS)
        loads.labels(**self._own, outcome=outcome).inc()
        gauge = self._metrics.gauge(catalog.REPLICA_LOAD_PHASE)
        for phase, seconds in phases.items():
            gauge.labels(**self._own, phase=phase).set(seconds)

    def woken(self, level: int, phases: Mapping[str, float]) -> None:
        """State what waking from a level of sleep took."""
        gauge = self._metrics.gauge(catalog.REPLICA_WAKE_PHASE)
        for phase, seconds in phases.items():
            gauge.labels(**self._own, level=str(level), phase=phase).set(seconds)

    def caught_up(self, totals: Mapping[Metric, float]) -> None:
        """Raise counters to what a model counts itself, from 0 on with every load."""
        for metric, total in totals.items():
            more = total - self._totals.get(metric, 0.0)
            # Less than before: an instance has failed, and its count is gone.
            self._metrics.counter(metric).labels(**self._own).inc(max(0.0, more))
        self._totals.update(totals)

    def begin_anew(self) -> None:
        """Expect the model that comes next to count from 0 on."""
        self._totals.clear()


class ReplicaMetrics:
    """The live metrics of one replica, each model under its own name."""

    def __init__(self, metrics: Metrics, *, model: str, replica: str) -> None:
        self._metrics = metrics
        self._own = {"model": model, "replica": replica}  # of the process as a whole
        self._models: dict[str, ModelMetrics] = {}
        self.of(model)

    def of(self, model: str) -> ModelMetrics:
        """Return the counters of one model."""
        if model not in self._models:
            self._models[model] = ModelMetrics(
                self._metrics, model=model, replica=self._own["replica"]
            )
        return self._models[model]

    def slept(self, level: int, seconds: float, *, before: int, after: int) -> None:
        """State what falling asleep took, and the process's memory around it."""
        own = {**self._own, "level": str(level)}
        self._metrics.gauge(catalog.REPLICA_SLEEP).labels(**own).set(seconds)
        memory = self._metrics.gauge(catalog.REPLICA_SLEEP_MEMORY)
        memory.labels(**own, moment="before").set(before)
        memory.labels(**own, moment="after").set(after)

    def settle(self, model: str, last: ModelGauges) -> None:
        """Count what a model has counted itself, before it goes."""
        self.of(model).caught_up(dict(_totals(last)))
        self.of(model).begin_anew()

    @property
    def steps(self) -> int:
        """Iterations of all engines so far, those of models that are gone included."""
        (family,) = self._metrics.counter(catalog.REPLICA_ITERATIONS).collect()
        return int(sum(one.value for one in family.samples if one.name.endswith("_total")))

    def drained(self, *, finished: int, killed: int) -> None:
        """Count what became of the requests that were in flight when draining began."""
        counter = self._metrics.counter(catalog.REPLICA_DRAINED)
        counter.labels(**self._own, outcome="finished").inc(finished)
        counter.labels(**self._own, outcome="killed").inc(killed)

    def page(self, models: Mapping[str, ModelGauges], accept: str) -> tuple[bytes, str]:
        """Return the /metrics page and its content type; models that are gone have no gauges."""
        self._read(models)
        return self._metrics.render(accept)

    def vllm_page(self, models: Mapping[str, ModelGauges]) -> tuple[bytes, str]:
        """Return the same under vLLM's names, as far as it has any."""
        self._read(models)
        caches = [
            CacheConfig(name, block_size=one.block_size, blocks=sum(kv.blocks for kv in one.kv))
            for name, one in models.items()
            if one.kv
        ]
        return vllm_page(self._metrics.families(), names=REPLICA, caches=caches)

    def _read(self, models: Mapping[str, ModelGauges]) -> None:
        """Set the gauges, and raise the counters of what models count themselves."""
        self._metrics.gauge(catalog.REPLICA_MEMORY).labels(**self._own).set(resident_bytes())
        rows: dict[Metric, list[tuple[dict[str, str], float]]] = {one: [] for one in _GAUGES}
        for name, one in models.items():
            own = {"model": name, "replica": self._own["replica"]}
            self.of(name).caught_up(dict(_totals(one)))
            for metric, labels, value in _readings(one):
                rows[metric].append(({**own, **labels}, value))
        for metric, readings in rows.items():
            self._metrics.replace(metric, readings)


_GAUGES = (
    catalog.REPLICA_RUNNING,
    catalog.REPLICA_WAITING,
    catalog.REPLICA_SLOTS,
    catalog.REPLICA_KV_USAGE,
    catalog.REPLICA_KV_WASTE,
    catalog.REPLICA_KV_BYTES,
    catalog.REPLICA_KV_BLOCKS,
    catalog.REPLICA_ITERATION_FIXED,
    catalog.REPLICA_ITERATION_DECODE,
    catalog.REPLICA_ITERATION_PREFILL,
    catalog.REPLICA_PACED,
    catalog.REPLICA_PROGRESS_AGE,
)


def _readings(one: ModelGauges) -> Iterable[tuple[Metric, dict[str, str], float]]:
    yield catalog.REPLICA_RUNNING, {}, one.running
    yield catalog.REPLICA_WAITING, {}, one.waiting
    yield catalog.REPLICA_SLOTS, {}, one.slots
    yield catalog.REPLICA_PROGRESS_AGE, {}, one.progress_age
    if one.cost is not None:
        yield catalog.REPLICA_ITERATION_FIXED, {}, one.cost.fixed
        yield catalog.REPLICA_ITERATION_DECODE, {}, one.cost.decode_token
        yield catalog.REPLICA_ITERATION_PREFILL, {}, one.cost.prefill_token
        yield catalog.REPLICA_PACED, {}, one.paced_seconds
    if one.kv:
        yield from _kv_readings(one)


def _totals(one: ModelGauges) -> Iterable[tuple[Metric, float]]:
    """Read what the model itself counts."""
    if one.kv:
        yield catalog.REPLICA_PREFIX_QUERIED, sum(pool.queried_tokens for pool in one.kv)
        yield catalog.REPLICA_PREFIX_HIT, sum(pool.hit_tokens for pool in one.kv)
    if one.images is not None:
        yield catalog.REPLICA_IMAGE_HITS, one.images.hits
        yield catalog.REPLICA_IMAGE_MISSES, one.images.misses
        yield catalog.REPLICA_IMAGE_FAILURES, one.images.failures
        yield catalog.REPLICA_IMAGE_BATCHES, one.images.batches
        yield catalog.REPLICA_IMAGE_ENCODE, one.images.encode_seconds


def _kv_readings(model: ModelGauges) -> Iterable[tuple[Metric, dict[str, str], float]]:
    """Read the pools of all instances as one."""
    room = sum(one.used_slots for one in model.kv)
    held = sum(one.held_tokens for one in model.kv)
    yield catalog.REPLICA_KV_USAGE, {}, model.kv_usage
    yield catalog.REPLICA_KV_WASTE, {}, 1 - held / room if room else 0.0
    yield catalog.REPLICA_KV_BYTES, {}, model.kv_bytes
    for state in ("used", "cached", "free", "shared"):
        count = sum(getattr(one, state) for one in model.kv)
        yield catalog.REPLICA_KV_BLOCKS, {"state": state}, count
