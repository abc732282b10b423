from dataclasses import replace

import numpy as np
import pytest

from forecaster.scoring.backtest import Backtest
from forecaster.scoring.summary import by_horizon, pit_shares, summarise

LEVELS = (0.1, 0.5, 0.9)


def backtest(*, steps: int = 60, step: float = 60.0, origins: int = 50) -> Backtest:
    generator = np.random.default_rng(0)
    actual = 10 + generator.normal(size=(origins, steps))
    right = np.tile(10 + np.array([-1.2816, 0.0, 1.2816]), (origins, steps, 1))
    return Backtest(
        np.arange(origins), step, LEVELS, actual, right, right + 1.0, right + 2.0, np.ones(origins)
    )


def test_a_right_forecast_covers_what_it_says() -> None:
    found = summarise(backtest())

    assert found.coverage == pytest.approx({0.1: 0.1, 0.5: 0.5, 0.9: 0.9}, abs=0.03)
    assert found.points == 50 * 60
    assert found.scaled_error == pytest.approx(0.8, abs=0.03)  # mean |z|
    assert pit_shares(backtest(), np.random.default_rng(0), bins=4) == pytest.approx(
        np.full(4, 0.25), abs=0.06
    )


def test_a_ratio_below_one_beats_the_simple_forecast() -> None:
    found = summarise(backtest())

    assert found.over_last < found.over_yesterday < 1


def test_simple_forecasts_count_only_where_they_exist() -> None:
    known = backtest()
    half = known.yesterday.copy()
    half[25:] = np.nan

    assert summarise(replace(known, yesterday=half)).over_yesterday == pytest.approx(
        summarise(known).over_yesterday, abs=0.1
    )
    assert np.isnan(summarise(replace(known, yesterday=half * np.nan)).over_yesterday)


@pytest.mark.parametrize(
    ("steps", "step", "edges"),
    [
        pytest.param(60, 60.0, [(0, 5), (5, 15), (15, 60)], id="an hour by minutes"),
        pytest.param(90, 60.0, [(0, 5), (5, 15), (15, 60), (60, 90)], id="beyond the hour"),
        pytest.param(6, 600.0, [(5, 15), (15, 60)], id="steps longer than the first bucket"),
        pytest.param(3, 60.0, [(0, 3)], id="three minutes"),
    ],
)
def test_buckets_of_the_horizon_share_all_points(
    steps: int, step: float, edges: list[tuple[float, float]]
) -> None:
    tested = backtest(steps=steps, step=step)

    found = by_horizon(tested)

    assert [(one.begins, one.ends) for one in found] == edges
    assert sum(one.points for one in found) == summarise(tested).points
