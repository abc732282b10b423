import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.catalog import GATEWAY_ARRIVALS, TIME_TO_FIRST_TOKEN
from telemetry.clock import ManualClock
from telemetry.quantiles import histogram_quantile, read_quantiles
from telemetry.series import Sample, Window
from telemetry.sqlite_store import SqliteStore

BOUNDS = (1.0, 2.0, 4.0, math.inf)
NAN = math.nan


@pytest.mark.parametrize(
    ("increases", "q", "expected"),
    [
        pytest.param([10, 10, 10, 10], 0.5, 0.5, id="the first bucket starts at zero"),
        pytest.param([0, 10, 10, 10], 0.5, 1.5, id="linear inside a bucket"),
        pytest.param([5, 5, 10, 10], 0.5, 1.0, id="on a bound"),
        pytest.param([5, 5, 10, 10], 0.75, 3.0, id="over an empty bucket"),
        pytest.param([0, 0, 0, 10], 0.5, 4.0, id="beyond the highest bound"),
        pytest.param([0, 0, 10, 10], 1.0, 4.0, id="the largest"),
        pytest.param([0, 0, 10, 10], 0.0, 2.0, id="the smallest"),
        pytest.param([5, 4, 10, 10], 0.5, 1.0, id="counts that fall are lifted"),
        pytest.param([0, 0, 0, 0], 0.5, NAN, id="nothing observed"),
        pytest.param([0, NAN, 5, 10], 0.5, NAN, id="a bucket is missing"),
    ],
)
def test_histogram_quantile(increases, q, expected):
    found = histogram_quantile(BOUNDS, np.array(increases, float), q)

    assert found == pytest.approx(expected, nan_ok=True)


def test_a_first_bucket_at_or_below_zero_has_no_lower_edge():
    assert histogram_quantile((-1.0, 1.0, math.inf), np.array([5.0, 5, 5]), 0.5) == -1.0


@settings(deadline=None)
@given(
    st.lists(st.floats(0.001, 4.0), min_size=1, max_size=50),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_quantiles_rise_and_lie_in_the_bucket_of_the_true_one(values, q, other):
    counts = np.array([sum(value <= bound for value in values) for bound in BOUNDS], float)
    low, high = sorted((q, other))
    found = histogram_quantile(BOUNDS, counts, high)
    true = sorted(values)[max(math.ceil(high * len(values) - 1e-9), 1) - 1]
    bucket = next(i for i, bound in enumerate(BOUNDS) if true <= bound)

    assert histogram_quantile(BOUNDS, counts, low) <= found
    assert ([0, *BOUNDS][bucket] - 1e-6) <= found <= BOUNDS[bucket] + 1e-6


@pytest.mark.parametrize("q", [-0.1, 1.1, NAN])
def test_a_quantile_is_a_share(q):
    with pytest.raises(ValueError, match="from 0 to 1"):
        histogram_quantile(BOUNDS, np.ones(4), q)


@pytest.mark.parametrize("bounds", [(math.inf,), (1.0, 2.0), ()])
def test_bounds_end_with_infinity(bounds):
    with pytest.raises(ValueError, match="and then"):
        histogram_quantile(bounds, np.ones(len(bounds)), 0.5)


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(tmp_path / "m.db", retention_seconds=1e6, clock=ManualClock(0.0))
    yield opened
    opened.close()


WINDOW = Window(60, 120, 60)


def test_no_data_has_no_quantiles(store):
    found = read_quantiles(store, TIME_TO_FIRST_TOKEN, {}, WINDOW, [0.5, 0.99])

    assert not found[0.5].has_data
    assert not found[0.99].has_data


def test_a_step_without_requests_has_no_quantile(store):
    name = f"{TIME_TO_FIRST_TOKEN.name}_bucket"
    for at, count in ((0, 0), (60, 10), (120, 10)):
        store.write(Sample(name, {"le": le}, at, count) for le in ("0.1", "+Inf"))

    found = read_quantiles(store, TIME_TO_FIRST_TOKEN, {}, WINDOW, [0.5])[0.5]

    np.testing.assert_allclose(found.values, [0.05, NAN])


def test_only_histograms_have_quantiles(store):
    with pytest.raises(ValueError, match="counter, which has no quantiles"):
        read_quantiles(store, GATEWAY_ARRIVALS, {}, WINDOW, [0.5])
