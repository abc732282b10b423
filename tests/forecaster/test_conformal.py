import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecaster.conformal import Backtest, add_offsets, offsets, run_backtest
from forecaster.models.baselines import SeasonalNaive

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.99)
RATES = st.floats(0.0, 1e6)


def flat(actual: list[float], expected: float) -> Backtest:
    return Backtest(np.full((len(actual), 1), expected), np.array(actual)[:, None])


def test_the_same_errors_seen_more_often_make_a_narrower_band() -> None:
    errors = np.linspace(80, 120, 15).tolist()
    few, many = (
        add_offsets(np.array([100.0]), offsets(flat(some, 100.0), LEVELS, step=1.0))[0]
        for some in (errors, errors * 20)
    )

    assert (few[:2] < many[:2]).all()
    assert (few[3:] > many[3:]).all()


def test_a_quantile_beyond_what_the_errors_show_is_wider_than_the_worst_of_them() -> None:
    actual = np.random.default_rng(1).poisson(100, 15).astype(float).tolist()
    band = add_offsets(np.array([100.0]), offsets(flat(actual, 100.0), LEVELS, step=1.0))[0]

    # The 99th percentile of Poisson(100) is 124; the highest of these 15 is below that.
    assert max(actual) < 124 <= band[-1]


def test_without_errors_the_band_is_at_least_the_noise_of_counts() -> None:
    band = add_offsets(np.array([4.0]), offsets(flat([], 4.0), LEVELS, step=60.0))[0]

    assert band[2] == 4.0
    # 240 requests a step have a deviation of 15.5, which is 0.26 requests/s.
    assert band[3] > 4.0 + 1.28 * 0.26
    assert band[1] < 4.0 - 1.28 * 0.26


def test_a_horizon_without_errors_borrows_those_of_the_others() -> None:
    paths = np.full((50, 2), 100.0)
    actual = np.column_stack([np.linspace(50, 150, 50), np.full(50, np.nan)])
    first, second = offsets(Backtest(paths, actual), LEVELS, step=1.0)

    np.testing.assert_array_equal(first, second)


def test_a_backtest_sets_what_came_beside_what_was_expected() -> None:
    history = np.array([1.0, 2, 3, 4])
    backtest = run_backtest(SeasonalNaive(2), history, 2, np.array([1, 2]))

    np.testing.assert_array_equal(backtest.paths, [[1, 2], [2, 3]])
    np.testing.assert_array_equal(backtest.actual, [[3, 4], [4, np.nan]])


@given(
    path=arrays(float, 3, elements=RATES),
    actual=arrays(float, (25, 3), elements=RATES | st.just(float("nan"))),
    expected=arrays(float, (25, 3), elements=RATES),
)
def test_quantiles_never_cross_and_are_never_negative(
    path: np.ndarray, actual: np.ndarray, expected: np.ndarray
) -> None:
    band = add_offsets(path, offsets(Backtest(expected, actual), LEVELS, step=60.0))

    assert np.isfinite(band).all()
    assert (band >= 0).all()
    assert (np.diff(band, axis=-1) >= 0).all()
