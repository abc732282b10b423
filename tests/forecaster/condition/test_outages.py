import numpy as np
import pytest

from forecaster.condition.outages import outages
from forecaster.condition.runs import Run

SEASON = 288


def counts(seed: int, *, days: int = 7, mean: float = 200.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    clock = np.arange(days * SEASON) / SEASON
    return rng.poisson(mean * (1 + 0.8 * np.sin(2 * np.pi * clock))) / 300.0


@pytest.mark.parametrize(
    ("days", "size"),
    [
        pytest.param(2, 1, id="two days, one step"),
        pytest.param(2, 12, id="two days, an hour"),
        pytest.param(7, 1, id="a week, one step"),
        pytest.param(7, 12, id="a week, an hour"),
        pytest.param(7, SEASON, id="a week, a day"),
    ],
)
def test_a_stretch_that_reads_zero_by_day_is_found(days, size):
    values = counts(1, days=days)
    start = SEASON + 30
    values[start : start + size] = 0.0

    assert [Run(start, start + size)] == outages(values, SEASON)


def test_more_than_a_day_of_nothing_is_a_level():
    values = counts(1)
    values[600 : 600 + SEASON + 1] = 0.0

    assert outages(values, SEASON) == []


def test_a_stretch_that_reads_next_to_nothing_is_found_with_its_edges():
    values = counts(2)
    values[700:712] = 0.0
    values[711] = 0.01 * values[712]

    assert [Run(700, 712)] == outages(values, SEASON)


def test_one_at_the_end_is_found_while_it_lasts():
    values = counts(3)
    values[-6:] = 0.0

    assert [Run(values.size - 6, values.size)] == outages(values, SEASON)


def test_many_do_not_explain_each_other():
    values = counts(4)
    starts = [SEASON * day + (hour + day) * 12 for day in range(2, 6) for hour in (1, 6)]
    for start in starts:
        values[start : start + 12] = 0.0

    assert [Run(start, start + 12) for start in starts] == outages(values, SEASON)


@pytest.mark.parametrize("seed", range(5))
def test_zeros_of_demand_that_is_often_zero_stay(seed):
    rng = np.random.default_rng(seed)
    busy = np.repeat(rng.random(2000) > 0.4, rng.integers(1, 12, 2000))[: 7 * SEASON]
    values = np.where(busy, rng.lognormal(0, 1.2, busy.size), 0.0)

    assert outages(values, SEASON) == []


@pytest.mark.parametrize("seed", range(5))
def test_zeros_of_small_counts_stay(seed):
    assert outages(counts(seed, mean=2.0), SEASON) == []


def test_nights_and_weekends_of_nothing_stay():
    values = counts(5, days=14).reshape(14, SEASON)
    values[:, 200:] = 0.0
    values[5::7] = 0.0
    values[5::7, 100:110] = 0.3

    assert outages(values.ravel(), SEASON) == []


def test_a_gap_is_no_outage():
    values = counts(6)
    values[700:712] = np.nan

    assert outages(values, SEASON) == []
