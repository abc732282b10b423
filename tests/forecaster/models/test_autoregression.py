"""The direct seasonal autoregression."""

import numpy as np

from forecaster.history import History
from forecaster.models import autoregression
from forecaster.models.autoregression import Autoregression
from forecaster.models.levels import MovingAverage
from forecaster.models.profile import DailyProfile

SEASON = 288
AHEAD = np.array([1, 3, 6, 12])


def history(values: np.ndarray) -> History:
    return History(np.asarray(values, dtype=float), 300.0, SEASON)


def error(model: object, known: History, origins: np.ndarray) -> float:
    paths = model.fit(known).paths(origins, AHEAD)[..., 0]  # type: ignore[attr-defined]
    return float(np.nanmean(np.abs(known.after(origins, AHEAD) - paths)))


def test_it_is_better_than_level_and_profile_alone() -> None:
    rng = np.random.default_rng(0)
    steps = 8 * SEASON
    wander = np.zeros(steps)
    for step in range(1, steps):
        wander[step] = 0.98 * wander[step - 1] + 0.2 * rng.normal()
    daily = 3 * np.sin(2 * np.pi * np.arange(steps) / SEASON)
    known = history(np.abs(15 + daily + wander + 0.3 * rng.normal(size=steps)))
    origins = np.arange(5 * SEASON, steps - 13, 7)

    own = error(Autoregression(), known, origins)

    assert own < 0.9 * error(MovingAverage(15), known, origins)
    assert own < 0.9 * error(DailyProfile(), known, origins)


def test_what_it_says_of_a_past_day_was_not_learnt_from_that_day() -> None:
    rng = np.random.default_rng(0)
    known = history(rng.normal(15, 1, 5 * SEASON))
    spoilt = known.values.copy()
    day = slice(3 * SEASON + SEASON // 2, 4 * SEASON - 1)
    spoilt[day] += 3 * rng.normal(size=spoilt[day].size)
    origin = np.array([3 * SEASON + SEASON // 2 - 1])  # just before: the same features

    before, after = (
        Autoregression().fit(one).paths(origin, AHEAD) for one in (known, history(spoilt))
    )
    np.testing.assert_allclose(before, after, atol=0.2)


def test_it_needs_a_day_and_some_more() -> None:
    assert not Autoregression().can_fit(history(np.ones(SEASON + 57)))
    assert Autoregression().can_fit(history(np.ones(SEASON + 58)))


def test_errors_far_beyond_the_usual_count_less() -> None:
    errors = np.r_[np.random.default_rng(0).normal(size=200), 50.0, 7.0][:, None]
    counts = autoregression._huber(errors, np.r_[np.ones(201), 0.0][:, None])[:, 0]

    assert np.median(counts) == 1.0
    assert counts[-2] < 0.05


def test_origins_before_all_that_it_learnt_from_are_answered_too() -> None:
    known = history(np.random.default_rng(0).normal(15, 1, 3 * SEASON + 2))

    assert np.isfinite(Autoregression().fit(known).paths(np.array([0, 1]), AHEAD)).all()


def test_it_needs_an_origin_to_learn_from() -> None:
    assert not Autoregression().can_fit(History(np.ones(3), 43_200.0, 2))
    assert Autoregression().can_fit(History(np.ones(5), 43_200.0, 2))
