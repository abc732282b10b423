"""Quantiles of histograms, as Prometheus defines them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from telemetry.catalog import Kind, Metric
from telemetry.series import Selector, Series, Window, total
from telemetry.store import Reader

Floats = NDArray[np.float64]


def histogram_quantile(bounds: Sequence[float], increases: Floats, q: float) -> float:
    """Return the value that a share `q` of the observations stayed at or below.

    `increases` are cumulative: how many observations were at or below each of the rising
    `bounds`, the last of which is infinite. Inside a bucket values are taken to be spread
    evenly; beyond the highest finite bound nothing is known, so that bound is the answer.
    NaN where nothing was observed or a bucket is missing.
    """
    _check(bounds, q)
    counts = np.maximum.accumulate(increases)
    if not (np.isfinite(counts).all() and counts[-1] > 0):
        return math.nan
    rank = q * counts[-1]
    bucket = int(np.argmax((counts >= rank) & (counts > 0)))
    if bucket == len(bounds) - 1:
        return float(bounds[-2])
    if bucket == 0 and bounds[0] <= 0:
        return float(bounds[0])
    low, below = (bounds[bucket - 1], counts[bucket - 1]) if bucket else (0.0, 0.0)
    inside = counts[bucket] - below
    return float(low + (bounds[bucket] - low) * (rank - below) / inside)


def read_quantiles(
    reader: Reader,
    metric: Metric,
    labels: Mapping[str, str],
    window: Window,
    qs: Sequence[float],
) -> dict[float, Series]:
    """Return a histogram's quantiles in the step before each point, over all other labels."""
    if metric.kind is not Kind.HISTOGRAM:
        raise ValueError(f"{metric.name} is a {metric.kind}, which has no quantiles")
    buckets = reader.increase(Selector(f"{metric.name}_bucket", labels), window)
    bounds = sorted({_bound(one) for one in buckets})
    if len(bounds) < 2:  # noqa: PLR2004 - a histogram has a finite bucket and +Inf
        return {q: total([], window) for q in qs}
    by_bound = [
        total([one for one in buckets if _bound(one) == bound], window).values for bound in bounds
    ]
    columns = np.stack(by_bound).T
    return {
        q: Series(
            dict(labels), window, np.array([histogram_quantile(bounds, c, q) for c in columns])
        )
        for q in qs
    }


def _bound(series: Series) -> float:
    return float(series.labels["le"])


def _check(bounds: Sequence[float], q: float) -> None:
    if not 0 <= q <= 1:
        raise ValueError(f"expected a quantile from 0 to 1, got {q}")
    if len(bounds) < 2 or not math.isinf(bounds[-1]):  # noqa: PLR2004 - as above
        raise ValueError(f"expected finite bounds and then +Inf, got {list(bounds)}")
