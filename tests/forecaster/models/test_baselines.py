import numpy as np
import pytest

from forecaster.models.baselines import SeasonalNaive

GAP = np.nan


def test_the_last_season_is_expected_again() -> None:
    path = SeasonalNaive(3).fit_predict(np.array([1.0, 2, 3, 4, 5, 6]), horizon=5)

    assert path.tolist() == [4, 5, 6, 4, 5]


def test_a_gap_is_taken_from_the_latest_earlier_season_that_has_it() -> None:
    history = np.array([1.0, 2, 3, 7, GAP, 9, GAP, GAP, 8])

    assert SeasonalNaive(3).fit_predict(history, horizon=3).tolist() == [7, 2, 8]


def test_what_no_season_has_is_the_latest_value() -> None:
    assert SeasonalNaive(3).fit_predict(np.array([5.0, GAP, 7]), horizon=3).tolist() == [5, 7, 7]
    assert SeasonalNaive(9).fit_predict(np.array([5.0, GAP, 7]), horizon=2).tolist() == [7, 7]


def test_a_backtest_says_what_a_forecast_would_have_said_then() -> None:
    rng = np.random.default_rng(1)
    history = rng.poisson(20, 40).astype(float)
    history[rng.random(40) < 0.3] = GAP
    history[0] = 20.0
    model = SeasonalNaive(7)
    origins = np.arange(0, 39)
    backtest = model.backtest(history, 9, origins)

    for origin, path in zip(origins, backtest, strict=True):
        expected = model.fit_predict(history[: origin + 1], 9)
        np.testing.assert_array_equal(path, expected)


def test_a_season_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        SeasonalNaive(0)
