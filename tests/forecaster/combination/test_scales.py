"""How large errors are expected to be."""

import numpy as np

from forecaster.combination.asking import Past
from forecaster.combination.scales import restlessness, scales
from forecaster.history import History

SEASON = 144


def history(values: np.ndarray) -> History:
    return History(values, 600.0, SEASON)


def test_scales_are_above_zero_even_where_nothing_moves() -> None:
    still = history(np.full(400, 3.0))
    past = Past.of(still, first=1, last=6)

    assert np.all(scales(still, past, np.full(past.actual.shape, 3.0)) > 0)


def test_the_local_scale_follows_demand_and_the_steady_one_does_not() -> None:
    rng = np.random.default_rng(0)
    noise = np.r_[np.full(500, 0.1), np.full(100, 2.0)]
    restless = history(20 + np.cumsum(rng.normal(size=600)) * 0 + rng.normal(size=600) * noise)
    past = Past.of(restless, first=1, last=6)
    local, steady, _ = scales(restless, past, np.full(past.actual.shape, 20.0))[:, :, 0]

    calm = past.origins < 480
    assert local[-1] > 1.5 * local[calm].mean()
    assert np.ptp(steady) == 0


def test_the_regression_learns_at_which_time_of_day_errors_are_large() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(10 * SEASON) % SEASON
    noise = np.where(time < SEASON // 2, 0.2, 2.0)
    uneven = history(np.abs(20 + rng.normal(size=time.size) * noise))
    past = Past.of(uneven, first=1, last=12)
    regressed = scales(uneven, past, np.full(past.actual.shape, 20.0))[2]
    target = (past.origins[:, None] + past.horizons) % SEASON

    assert regressed[target >= SEASON // 2].mean() > 1.5 * regressed[target < SEASON // 2].mean()


def test_a_gap_leaves_the_restlessness_as_it_was() -> None:
    values = np.random.default_rng(0).normal(20, 1, 300)
    local = restlessness(history(np.append(values, [np.nan] * 20))).local

    assert np.all(local[300:] == local[299])
