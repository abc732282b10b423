"""The catalogue made live: metric families that a process sets and its /metrics page shows."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from telemetry.catalog import CATALOG, Kind, Metric
from telemetry.series import Sample

_Family = TypeVar("_Family", Counter, Gauge, Histogram)

# Name and labels, then the value; a timestamp and an exemplar may follow and are left alone.
_LINE = re.compile(
    r"([a-zA-Z_:][a-zA-Z0-9_:]*"
    r'(?:[ \t]*\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*\}|(?=[ \t])))'
    r"[ \t]*(\S+)(?:[ \t]+-?[0-9]+(?:\.[0-9]+)?)?(?:[ \t]+#.*)?"
)


class Metrics:
    """The catalogue's families on one registry, each made when first asked for."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._registry = CollectorRegistry() if registry is None else registry
        self._families: dict[str, Counter | Gauge | Histogram] = {}

    def counter(self, metric: Metric) -> Counter:
        """Return the live counter of one catalogue entry."""
        if not metric.name.endswith("_total"):
            raise ValueError(
                f"{metric.name} is counted by a device and has the device's name: "
                "publish its readings, there is nothing to increment"
            )
        return self._family(metric, Kind.COUNTER, Counter)

    def gauge(self, metric: Metric) -> Gauge:
        """Return the live gauge of one catalogue entry."""
        return self._family(metric, Kind.GAUGE, Gauge)

    def histogram(self, metric: Metric) -> Histogram:
        """Return the live histogram of one catalogue entry."""
        return self._family(metric, Kind.HISTOGRAM, Histogram)

    def replace(self, metric: Metric, rows: Iterable[tuple[Mapping[str, str], float]]) -> None:
        """Make `rows` of (labels, value) the only series of a gauge: what vanished is gone."""
        gauge = self.gauge(metric)
        wanted = [(_label_values(metric, labels), value) for labels, value in rows]
        gauge.clear()
        for values, value in wanted:
            (gauge.labels(*values) if values else gauge).set(value)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page and its content type, in the format that `accept` asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def families(self) -> Iterable[Family]:
        """Return every family as it stands, with its series."""
        return self._registry.collect()

    def samples(self, at: float) -> list[Sample]:
        """Return every series as it stands, for the store."""
        return [
            Sample(one.name, one.labels, at, float(one.value))
            for family in self._registry.collect()
            for one in family.samples
            if not one.name.endswith("_created")
        ]

    def _family(self, metric: Metric, kind: Kind, live: type[_Family]) -> _Family:
        _check(metric, kind)
        family = self._families.get(metric.name)
        if family is None:
            options: dict[str, Any] = {"buckets": metric.buckets} if metric.buckets else {}
            family = live(
                metric.name, metric.help, metric.labels, registry=self._registry, **options
            )
            self._families[metric.name] = family
        return cast("_Family", family)


def _check(metric: Metric, kind: Kind) -> None:
    if CATALOG.get(metric.name) != metric:
        raise ValueError(f"{metric.name} is not in the catalogue (telemetry/catalog.py)")
    if metric.kind is not kind:
        raise ValueError(f"{metric.name} is a {metric.kind}, not a {kind}")


def _label_values(metric: Metric, labels: Mapping[str, str]) -> tuple[str, ...]:
    if set(labels) != set(metric.labels):
        raise ValueError(
            f"{metric.name} has the labels {list(metric.labels)}, got {sorted(labels)}"
        )
    return tuple(labels[name] for name in metric.labels)


def parse_page(
    text: str, *, at: float, extra_labels: Mapping[str, str], prefixes: tuple[str, ...] = ()
) -> list[Sample]:
    """Read a page in Prometheus' text format as of `at`; ValueError where it is none.

    `extra_labels` are added where absent; with `prefixes` only such names are kept, and the
    rest is not even looked at. Timestamps on the page are ignored.
    """
    samples = []
    for line in text.split("\n"):  # not splitlines: a label may hold other line ends
        if line.startswith("#") or not line.startswith(prefixes or "") or not line.strip():
            continue
        name, labels, value = _parse_line(line.strip())
        if not name.endswith("_created"):
            samples.append(Sample(name, {**extra_labels, **labels}, at, value))
    return samples


def _parse_line(line: str) -> tuple[str, Mapping[str, str], float]:
    matched = _LINE.fullmatch(line)
    if matched is None:
        raise ValueError(f"expected a line of a /metrics page, got {line[:200]!r}")
    value = matched[2]
    if "_" in value:  # which Python would take for a number
        raise ValueError(f"expected a number, got {value[:200]!r}")
    return *_parse_series(matched[1]), float(value)


@lru_cache(maxsize=65_536)
def _parse_series(series: str) -> tuple[str, Mapping[str, str]]:
    """Read a name and its labels: the same for each scrape of a series, hence remembered."""
    (family,) = text_string_to_metric_families(f"{series} 0")
    (sample,) = family.samples
    return sample.name, sample.labels
