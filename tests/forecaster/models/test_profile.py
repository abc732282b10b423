"""What came at this time on earlier days."""

import numpy as np
import pytest

from forecaster.history import History
from forecaster.models.model import Model
from forecaster.models.profile import DailyProfile, SeasonalNaive, WeeklyProfile, profile_of

SEASON = 48
AHEAD = np.array([1, 6, 12])


def history(values: np.ndarray) -> History:
    return History(values, 1800.0, SEASON)


def daily(steps: int) -> np.ndarray:
    return 10 + np.sin(2 * np.pi * np.arange(steps) / SEASON)


@pytest.mark.parametrize(
    "model", [DailyProfile(), SeasonalNaive(), WeeklyProfile()], ids=lambda model: model.name
)
def test_a_day_that_comes_again_is_expected_again(model: Model) -> None:
    known = history(daily(9 * SEASON))
    paths = model.fit(known).paths(np.array([known.size - 1]), AHEAD)

    expected = daily(10 * SEASON)[known.size - 1 + AHEAD]
    np.testing.assert_allclose(paths[0, :, 0], expected, atol=0.02)


def test_a_week_is_told_from_a_day() -> None:
    values = np.repeat([10.0, 10, 10, 10, 10, 4, 4] * 3, SEASON)  # ends on a Sunday evening
    known = history(values)
    paths = WeeklyProfile().fit(known).paths(np.array([known.size - 1]), AHEAD)

    np.testing.assert_allclose(paths[0, 1:, 0], 10.0)  # the first is smoothed over midnight


@pytest.mark.parametrize(
    ("model", "least"),
    [(DailyProfile(), SEASON), (SeasonalNaive(), SEASON), (WeeklyProfile(), 8 * SEASON)],
    ids=["day", "naive", "week"],
)
def test_a_profile_needs_more_than_one_of_its_seasons(model: Model, least: int) -> None:
    assert not model.can_fit(history(np.ones(least)))
    assert model.can_fit(history(np.ones(least + 1)))


def test_naive_passes_over_days_that_do_not_know_the_step() -> None:
    values = daily(4 * SEASON)
    values[-SEASON:] = np.nan
    values[-1] = 10.0
    known = history(values)
    paths = SeasonalNaive().fit(known).paths(np.array([known.size - 1]), AHEAD)

    np.testing.assert_allclose(paths[0, :, 0], daily(5 * SEASON)[known.size - 1 + AHEAD])


@pytest.mark.parametrize("ahead", [5, SEASON - 1, 3 * SEASON])
def test_a_profile_looks_at_nothing_after_the_origin(ahead: int) -> None:
    values = np.random.default_rng(0).normal(10, 1, 6 * SEASON)
    origin = 4 * SEASON
    spoilt = values.copy()
    spoilt[origin + 1 :] = 1e6
    target = np.array([origin]), np.array([ahead])

    before, after = (
        profile_of(history(one), lag=SEASON, count=7, ahead=ahead).at(*target)
        for one in (values, spoilt)
    )
    np.testing.assert_array_equal(before, after)
