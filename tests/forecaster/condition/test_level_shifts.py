import numpy as np
import pytest

from forecaster.condition.level_shifts import level_shifts

SEASON = 288
HOUR = 12


def counts(seed: int, *, days: int = 14, mean: float = 200.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    clock = np.arange(days * SEASON) / SEASON
    level = np.repeat(rng.normal(1.0, 0.05, days), SEASON)
    return rng.poisson(mean * level * (1 + 0.8 * np.sin(2 * np.pi * clock))) / 300.0


@pytest.mark.parametrize("factor", [0.4, 0.6, 1.7, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_change_of_level_is_found_within_a_day(factor, seed):
    start = 12 * SEASON + 90
    values = counts(seed)[: start + SEASON]
    values[start:] *= factor

    (shift,) = level_shifts(values, SEASON)

    assert abs(shift.start - start) <= 2 * HOUR
    assert shift.factor == pytest.approx(factor, rel=0.25)
    assert np.sign(shift.z) == np.sign(factor - 1)


@pytest.mark.parametrize("seed", range(20))
def test_noise_has_none(seed):
    values = np.random.default_rng(seed).poisson(30, 10 * SEASON) / 300.0

    assert level_shifts(values, SEASON) == []
    assert level_shifts(counts(seed), SEASON) == []
    assert level_shifts(counts(seed, days=3), SEASON) == []


@pytest.mark.parametrize("days", [7, 9, 14, 28])
def test_weekends_are_none(days):
    values = counts(1, days=days).reshape(days, SEASON)
    weekday = (np.arange(days) + 3) % 7
    values[weekday >= 5] *= 0.4

    assert level_shifts(values.ravel(), SEASON) == []


@pytest.mark.parametrize("hours", [1, 4, 10])
def test_a_burst_that_passes_is_none(hours):
    values = counts(2)
    start = 9 * SEASON + 100
    values[start : start + hours * HOUR] *= 5

    assert level_shifts(values, SEASON) == []


def test_two_changes_are_told_apart():
    values = counts(3)
    values[5 * SEASON + 60 :] *= 2
    values[10 * SEASON + 60 :] *= 2

    first, second = level_shifts(values, SEASON)

    assert abs(first.start - 5 * SEASON - 60) <= 2 * HOUR
    assert abs(second.start - 10 * SEASON - 60) <= 2 * HOUR


def test_slow_growth_is_none():
    values = counts(4) * np.exp(np.linspace(0, 1.5, 14 * SEASON))

    assert level_shifts(values, SEASON) == []


def test_too_little_says_nothing():
    assert level_shifts(np.full(14, np.nan), 1) == []
    assert level_shifts(np.full(SEASON * 3, np.nan), SEASON) == []
    assert level_shifts(np.ones(SEASON), SEASON) == []
    assert level_shifts(np.zeros(SEASON * 3), SEASON) == []
