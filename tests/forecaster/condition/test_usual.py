import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecaster.condition.usual import at_time_of_day, nearby, quantiles, smooth

NAN = float("nan")
RATES = st.one_of(st.just(NAN), st.floats(0, 1e6))


@given(arrays(np.float64, (5, 3), elements=RATES), st.floats(0, 1))
def test_quantiles_are_those_of_what_is_known(rows, share):
    found = quantiles(rows, share)

    for column, value in zip(rows.T, found, strict=True):
        known = column[np.isfinite(column)]
        expected = np.quantile(known, share) if known.size else NAN
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)


def test_a_mean_leaves_gaps_out_and_zeros_in():
    np.testing.assert_allclose([2, 2, 3], smooth(np.array([0.0, 2.0, NAN]) + 1, 1))
    np.testing.assert_allclose([0, 1, 2], smooth(np.array([0.0, NAN, 2.0]), 1))


def test_a_mean_of_zeros_after_demand_is_zero():
    values = np.concatenate([np.full(50, 0.1), np.zeros(50)])

    assert (smooth(values, 2)[60:] == 0).all()


def test_the_time_of_day_is_the_median_of_the_days():
    days = np.array([[1.0, 5.0], [2.0, 6.0], [90.0, 7.0]])

    np.testing.assert_allclose(
        [2.0, 6.0] * 3, at_time_of_day(days.ravel(), 2, reach=0), atol=1e-12
    )


@given(st.integers(1, 30), st.integers(0, 9), st.integers(1, 7))
def test_what_is_nearby_is_as_long_as_the_series(size, reach, every):
    assert size == nearby(np.arange(size, dtype=float), reach, 0.5, every=every).size
