import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest

from telemetry import catalog
from telemetry.quantiles import histogram_quantile

# github.com/open-telemetry/semantic-conventions v1.41.0, docs/gen-ai/gen-ai-metrics.md
CONVENTION = {
    catalog.REQUEST_DURATION: (
        0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    ),
    catalog.TIME_TO_FIRST_TOKEN: (
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    ),
    catalog.TIME_PER_OUTPUT_TOKEN: (
        0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
    ),
}  # fmt: skip

SPREADS = (0.3, 0.5, 0.8, 1.2)  # standard deviations of the logarithm: steady load to rough
_NORMAL = NormalDist()
_RANKS = np.array([_NORMAL.inv_cdf((rank + 0.5) / 20_000) for rank in range(20_000)])


def error_of_p95(bounds, p95, spread):
    """Return by how much of itself a log-normal load's p95 is misread from a histogram."""
    load = p95 * np.exp(spread * (_RANKS - _NORMAL.inv_cdf(0.95)))
    counts = np.searchsorted(np.sort(load), [*bounds, math.inf], side="right")
    read = histogram_quantile([*bounds, math.inf], counts.astype(float), 0.95)
    return abs(read / float(np.quantile(load, 0.95)) - 1)


def worst_by_bucket(bounds, low, high):
    """Return each bucket's bounds with the largest error of a p95 in it."""
    return {
        (below, above): max(
            error_of_p95(bounds, p95, spread)
            for p95 in np.geomspace(below * 1.001, above * 0.999, 12)
            for spread in SPREADS
        )
        for below, above in pairwise(bounds)
        if low <= below and above <= high
    }


@pytest.mark.parametrize("metric", CONVENTION, ids=lambda metric: metric.name)
def test_the_conventions_buckets_are_the_first_of_ours(metric):
    theirs = CONVENTION[metric]

    assert metric.buckets[: len(theirs)] == theirs
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_a_p95_between_tokens_is_read_within_15_percent_from_5_ms_to_a_minute():
    worst = worst_by_bucket(catalog.INTER_TOKEN_LATENCY.buckets, 0.005, 60.0)

    assert min(worst)[0] == 0.005
    assert max(worst)[1] == 60.0
    assert max(worst.values()) < 0.15


def test_a_p95_to_the_first_token_is_read_as_well_as_the_conventions_buckets_allow():
    worst = worst_by_bucket(catalog.TIME_TO_FIRST_TOKEN.buckets, 0.005, 80.0)
    close = {bucket: error for bucket, error in worst.items() if bucket[1] <= 1.5 * bucket[0]}

    # Half of the ladder is too coarse for 15 %, and may have no bounds in between: from 5 to
    # 40 ms, 0.1 to 0.5 s, 1 to 5 s and above 10 s a p95 may be read too high by two thirds.
    assert set(close) == {
        (0.04, 0.06), (0.06, 0.08), (0.08, 0.1), (0.5, 0.75), (0.75, 1.0), (5.0, 7.5), (7.5, 10.0),
    }  # fmt: skip
    assert max(close.values()) < 0.15
    for (below, above), error in worst.items():
        assert error < 0.45 * (above / below - 1)
    assert 0.6 < max(worst.values()) < 0.68
