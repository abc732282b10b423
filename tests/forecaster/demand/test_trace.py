import numpy as np
import pytest

from forecaster.demand.demand import DemandError
from forecaster.demand.trace import Trace

GAP = float("nan")


def per_bin(*requests: float, bin_seconds: float = 60.0) -> Trace:
    at = bin_seconds * np.arange(len(requests))
    return Trace("bins.csv", at, np.array(requests), bin_seconds)


def per_request(*arrivals: float) -> Trace:
    return Trace("requests.csv", np.array(arrivals), np.ones(len(arrivals)), None)


def test_bins_become_rates_at_the_end_of_each_step() -> None:
    series = per_bin(60, 120, 0, 60).demand(120).rate

    np.testing.assert_allclose(series.values, [1.5, 0.5])
    np.testing.assert_allclose(series.times, [120, 240])


def test_a_missing_bin_is_not_a_quiet_one() -> None:
    series = per_bin(60, GAP, GAP, GAP, 0, 0).demand(120).rate

    np.testing.assert_allclose(series.values, [1.0, GAP, 0.0])


def test_bins_that_the_file_skips_are_gaps() -> None:
    trace = Trace("bins.csv", np.array([0.0, 180.0]), np.array([60.0, 120.0]), 60.0)

    np.testing.assert_allclose(trace.demand(60).rate.values, [1.0, GAP, GAP, 2.0])


def test_requests_become_rates_and_a_quiet_step_is_zero() -> None:
    series = per_request(100.0, 101.0, 109.0, 135.0).demand(10).rate

    np.testing.assert_allclose(series.values, [0.3, 0.0, 0.0])


def test_the_ragged_end_is_left_out() -> None:
    assert per_bin(60, 60, 60).demand(120).rate.values.size == 1


def test_the_span_of_bins_reaches_to_the_end_of_the_last() -> None:
    assert per_bin(1, 1, 1).span_seconds == 180
    assert per_request(5.0, 25.0).span_seconds == 20


@pytest.mark.parametrize(
    ("trace", "step", "message"),
    [
        pytest.param(per_bin(1, 1), 0, "of 0.001 s or more", id="no step"),
        pytest.param(per_bin(1, 1), 90, "multiple", id="a step that cuts bins"),
        pytest.param(per_bin(1, 1), 30, "multiple", id="a step inside bins"),
        pytest.param(per_bin(1, 1), 180, "shorter than one step", id="a step beyond the trace"),
        pytest.param(per_request(0.0, 1e12), 1, "at most", id="a stray moment"),
    ],
)
def test_a_step_that_does_not_fit_is_refused(trace: Trace, step: float, message: str) -> None:
    with pytest.raises(DemandError, match=message):
        trace.demand(step)


def test_without_a_step_it_is_the_bin_or_a_minute() -> None:
    assert per_bin(1, 1, bin_seconds=300.0).demand().step == 300
    assert per_request(0.0, 61.0).demand().step == 60


def test_tokens_become_rates_on_the_same_grid_and_keep_their_gaps() -> None:
    bins = 60 * np.arange(4.0)
    tokens = np.array([600.0, 600.0, GAP, GAP])
    demand = Trace("b.csv", bins, np.ones(4), 60.0, input_tokens=tokens).demand(120)

    assert demand.input_tokens is not None
    np.testing.assert_allclose(demand.input_tokens.values, [10.0, GAP])


def test_requests_without_a_size_are_as_long_as_the_others_of_the_step() -> None:
    arrivals = np.array([0.0, 1.0, 2.0, 10.0, 30.0])
    tokens = np.array([100.0, 300.0, GAP, GAP, 5.0])
    demand = Trace("r.csv", arrivals, np.ones(5), None, input_tokens=tokens).demand(10)

    assert demand.input_tokens is not None
    np.testing.assert_allclose(demand.input_tokens.values, [60.0, GAP, 0.0])
