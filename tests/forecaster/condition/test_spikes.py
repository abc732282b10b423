import numpy as np
import pytest

from forecaster.condition.runs import Run
from forecaster.condition.spikes import spikes, surges

SEASON = 288


def counts(seed: int, days: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    clock = np.arange(days * SEASON) / SEASON
    return rng.poisson(200 * (1 + 0.8 * np.sin(2 * np.pi * clock))) / 300.0


@pytest.mark.parametrize(("size", "found"), [(1, True), (3, True), (4, False)])
def test_a_rise_of_a_quarter_of_an_hour_at_most_is_a_spike(size, found):
    values = counts(1)
    values[700 : 700 + size] *= 6

    runs = [rise.run for rise in spikes(values, SEASON)]

    assert ([Run(700, 700 + size)] if found else []) == runs


def test_a_spike_says_how_high_it_was():
    values = counts(1)
    values[700] = 6 * values[690:710].mean()

    (rise,) = spikes(values, SEASON)

    assert rise.factor == pytest.approx(6, rel=0.2)


def test_a_rise_that_has_not_passed_is_none():
    values = counts(2)
    values[-1] *= 6

    assert spikes(values, SEASON) == []


def test_a_rise_that_comes_every_day_is_none():
    values = counts(3)
    values[100::SEASON] *= 6

    assert spikes(values, SEASON) == []


@pytest.mark.parametrize("seed", range(5))
def test_bursty_demand_keeps_its_bursts(seed):
    rng = np.random.default_rng(seed)
    values = rng.lognormal(0, 1.2, 7 * SEASON) * (rng.random(7 * SEASON) > 0.4)

    assert spikes(values, SEASON) == []
    assert surges(values, SEASON) == []


@pytest.mark.parametrize("seed", range(5))
def test_ordinary_demand_has_neither_spikes_nor_surges(seed):
    assert spikes(counts(seed), SEASON) == []
    assert surges(counts(seed), SEASON) == []


def test_rare_demand_is_no_spike():
    values = np.zeros(7 * SEASON)
    values[::97] = 1.0

    assert spikes(values, SEASON) == []


def test_a_rise_of_hours_is_a_surge():
    values = counts(4)
    values[1500:1530] *= 4

    (surge,) = surges(values, SEASON)

    assert spikes(values, SEASON) == []
    assert abs(surge.run.start - 1500) <= 2
    assert abs(surge.run.stop - 1530) <= 2
    assert surge.factor == pytest.approx(4, rel=0.2)
