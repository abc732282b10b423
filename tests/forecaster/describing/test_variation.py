import numpy as np
import pytest

from forecaster.demand.demand import TOKENS, Demand
from forecaster.describing.variation import Burstiness, Gaps, burstiness, gaps, share_of_zeros
from telemetry.series import Series, Window


def demand(counts: np.ndarray | list[float], *, unit: str = "requests/s") -> Demand:
    rates = np.array(counts, float) / 60.0
    return Demand("m", Series({}, Window(60.0, 60.0 * rates.size, 60.0), rates), unit=unit)


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        pytest.param([1, 2, 3], Gaps(0.0, 0.0), id="none"),
        pytest.param([np.nan, 2, np.nan, np.nan], Gaps(0.75, 2.0), id="at the end"),
        pytest.param([np.nan, np.nan, 2, np.nan], Gaps(0.75, 2.0), id="at the start"),
        pytest.param([np.nan] * 3, Gaps(1.0, 3.0), id="all of it"),
    ],
)
def test_gaps_are_counted_and_the_longest_is_told(counts: list[float], found: Gaps) -> None:
    assert gaps(demand(counts)) == found


def test_a_gap_is_no_zero() -> None:
    assert share_of_zeros(demand([0, 1, np.nan, 3])) == pytest.approx(1 / 3)
    assert np.isnan(share_of_zeros(demand([np.nan])))


def test_independent_requests_have_a_dispersion_of_one_whatever_the_time_of_day() -> None:
    level = 100 + 80 * np.sin(2 * np.pi * np.arange(10_000) / 1440)

    found = burstiness(demand(np.random.default_rng(0).poisson(level)))

    assert found.dispersion == pytest.approx(1, abs=0.05)
    assert found.hour_correlation > 0.9


def test_requests_in_batches_are_that_much_more_dispersed() -> None:
    batches = 7 * np.random.default_rng(0).poisson(30, 10_000)

    assert burstiness(demand(batches)).dispersion == pytest.approx(7, abs=0.3)


def test_tokens_have_no_dispersion_for_they_are_not_counted_one_by_one() -> None:
    assert np.isnan(burstiness(demand([1, 5, 2, 9], unit=TOKENS)).dispersion)


def test_the_peak_is_over_the_median() -> None:
    counts = np.ones(1000)
    counts[:50] = 8

    assert burstiness(demand(counts)).peak == 8
    assert np.isnan(burstiness(demand([0, 0, 0, 5])).peak)


def test_what_cannot_be_told_is_not_told() -> None:
    unknown = burstiness(demand([np.nan] * 100))

    assert np.isnan([unknown.dispersion, unknown.peak, unknown.hour_correlation]).all()
    assert np.isnan(burstiness(demand(np.ones(100))).hour_correlation)
    assert np.isnan(burstiness(demand([1.0, 2.0])).hour_correlation)
    assert isinstance(burstiness(demand([4.0])), Burstiness)
