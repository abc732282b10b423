"""From the metrics store to the latencies of a snapshot: percentiles of what clients waited."""

from dashboards.console.reading import newest, points
from dashboards.console.sections import Latency, Percentiles
from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.quantiles import read_quantiles
from telemetry.series import Window
from telemetry.store import Reader

_MEDIAN, _TAIL = 0.5, 0.95


def read_latency(reader: Reader, model: str, window: Window) -> Latency:
    """Read time to first token and time per output token of each step's requests."""
    return Latency(
        ttft=_percentiles(reader, catalog.TIME_TO_FIRST_TOKEN, model, window),
        tpot=_percentiles(reader, catalog.TIME_PER_OUTPUT_TOKEN, model, window),
    )


def _percentiles(reader: Reader, metric: Metric, model: str, window: Window) -> Percentiles:
    labels = {metric.labels[0]: model}  # the conventions put the model first
    found = read_quantiles(reader, metric, labels, window, (_MEDIAN, _TAIL))
    p50, p95 = points(found[_MEDIAN].values), points(found[_TAIL].values)
    return Percentiles(p50=p50, p95=p95, p50_now=newest(p50), p95_now=newest(p95))
