"""Samples as a page in Prometheus' text format.

The page is written here because DCGM's counters have no `_total` suffix: a client library would
add one, and dashboards ask for the name without it.
"""

from collections.abc import Iterable

from telemetry.catalog import CATALOG, Kind, Metric
from telemetry.series import Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LABEL_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


def render(samples: Iterable[Sample]) -> str:
    """Write the samples as one page, each family once, in the order they first appear."""
    families: dict[str, list[Sample]] = {}
    for sample in samples:
        families.setdefault(sample.name, []).append(sample)
    return "".join(_family(CATALOG[name], members) for name, members in families.items())


def _family(metric: Metric, members: list[Sample]) -> str:
    lines = [
        f"# HELP {metric.name} {metric.help.translate(_HELP_ESCAPES)}",
        f"# TYPE {metric.name} {_type(metric)}",
        *(_line(sample) for sample in members),
    ]
    return "\n".join(lines) + "\n"


def _type(metric: Metric) -> str:
    # Declared a counter, a reader that knows OpenMetrics would store the name with `_total`.
    if metric.kind is Kind.COUNTER and not metric.name.endswith("_total"):
        return "untyped"
    return metric.kind.value


def _line(sample: Sample) -> str:
    labels = ",".join(
        f'{key}="{value.translate(_LABEL_ESCAPES)}"' for key, value in sample.labels.items()
    )
    return f"{sample.name}{{{labels}}} {float(sample.value)!r}"
