"""A replica's metrics, by the catalogue."""

import psutil

from inference.engine.engine import EngineStats, IterationReport
from inference.engine.profile import IterationCost
from inference.engine.sequence import Timings
from telemetry import catalog
from telemetry.publish import Metrics


class ReplicaMetrics:
    """The live metrics of one replica; `iterated` is called from the engine's thread."""

    def __init__(self, metrics: Metrics, *, model: str, replica: str) -> None:
        own = {"model": model, "replica": replica}
        self._metrics = metrics
        self._own = own
        self._busy = metrics.counter(catalog.REPLICA_BUSY).labels(**own)
        self._iterations = metrics.counter(catalog.REPLICA_ITERATIONS).labels(**own)
        self._prefill = metrics.counter(catalog.REPLICA_PREFILL_TOKENS).labels(**own)
        self._decode = metrics.counter(catalog.REPLICA_DECODE_TOKENS).labels(**own)
        self._batch = metrics.histogram(catalog.REPLICA_BATCH_SIZE).labels(**own)
        stage = metrics.histogram(catalog.REPLICA_STAGE)
        self._stages = {
            name: stage.labels(**own, stage=name) for name in ("queue", "prefill", "decode")
        }

    def iterated(self, report: IterationReport) -> None:
        """Count one iteration of the engine."""
        self._busy.inc(report.seconds)
        self._iterations.inc()
        self._prefill.inc(report.prefill_tokens)
        self._decode.inc(report.generated_tokens)
        self._batch.observe(report.sequences)

    def answered(self, timings: Timings) -> None:
        """Note the stages of a request that was answered to its end."""
        self._stages["queue"].observe(timings.queue)
        self._stages["prefill"].observe(timings.prefill)
        self._stages["decode"].observe(timings.decode)

    def profiled(self, cost: IterationCost, *, paced_seconds: float) -> None:
        """State what an iteration costs here."""
        self._set(catalog.REPLICA_ITERATION_FIXED, cost.fixed)
        self._set(catalog.REPLICA_ITERATION_DECODE, cost.decode_token)
        self._set(catalog.REPLICA_ITERATION_PREFILL, cost.prefill_token)
        self._set(catalog.REPLICA_PACED, paced_seconds)

    def page(self, stats: EngineStats | None, accept: str) -> tuple[bytes, str]:
        """Return the /metrics page and its content type; before the load there are no stats."""
        self._set(catalog.REPLICA_MEMORY, psutil.Process().memory_info().rss)
        if stats is not None:
            self._set(catalog.REPLICA_RUNNING, stats.running)
            self._set(catalog.REPLICA_WAITING, stats.waiting)
            self._set(catalog.REPLICA_SLOTS, stats.slots)
            self._set(catalog.REPLICA_KV_USAGE, stats.kv_usage)
        return self._metrics.render(accept)

    def _set(self, metric: catalog.Metric, value: float) -> None:
        self._metrics.gauge(metric).labels(**self._own).set(value)
