from dataclasses import replace

import numpy as np
import pytest

from forecaster.describing.predictability import predictability
from forecaster.scoring.backtest import Backtest
from forecaster.scoring.bootstrap import LossRatio

LEVELS = (0.1, 0.5, 0.9)


def backtest(*, yesterday: float, last: float, origins: int = 24) -> Backtest:
    actual = np.random.default_rng(0).random((origins, 15))
    right = np.tile([0.1, 0.5, 0.9], (origins, 15, 1))
    return Backtest(
        15 * np.arange(origins), 60.0, LEVELS, actual, right, right + yesterday, right + last,
        np.ones(origins),
    )  # fmt: skip


def test_losses_are_compared_with_both_simple_forecasts() -> None:
    found = predictability(backtest(yesterday=0.0, last=1.0), np.random.default_rng(0))

    assert found.horizon_minutes == 15
    assert found.over_yesterday.ratio == pytest.approx(1)
    assert found.over_yesterday.is_within_noise
    assert found.over_last.high < 0.5


def test_origins_that_see_the_same_steps_tell_less() -> None:
    def over_last(spacing: int, origins: int = 60) -> LossRatio:
        tested = backtest(yesterday=0.0, last=0.3, origins=origins)
        near = replace(tested, origins=spacing * np.arange(origins))
        return predictability(near, np.random.default_rng(0)).over_last

    assert over_last(15) == over_last(20)
    assert over_last(5) != over_last(15)
    assert np.isnan(over_last(5, origins=8).low)


def test_a_simple_forecast_that_does_not_exist_is_not_compared_with() -> None:
    found = predictability(backtest(yesterday=np.nan, last=0.0), np.random.default_rng(0))

    assert np.isnan(found.over_yesterday.ratio)
    assert found.over_yesterday.origins == 0


def test_without_past_forecasts_nothing_can_be_told() -> None:
    none = backtest(yesterday=0.0, last=0.0, origins=0)

    assert predictability(none, np.random.default_rng(0)) is None
