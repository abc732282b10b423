import numpy as np
import pytest

from forecaster.history import History
from forecaster.scoring.naive import last_value, yesterday

LEVELS = (0.1, 0.5, 0.9)


def history(rates: list[float] | np.ndarray, season: int) -> History:
    return History.of_rates(np.array(rates, float), step=60.0, season=season)


def test_yesterday_comes_again() -> None:
    days = history([1, 4, 9] * 4, 3)

    assert yesterday(days, 5, LEVELS)[:, 1] == pytest.approx([1, 4, 9, 1, 4])


def test_a_gap_yesterday_is_asked_of_the_day_before() -> None:
    days = history([1, 4, 9, 1, np.nan, 9], 3)

    assert yesterday(days, 3, LEVELS)[:, 1] == pytest.approx([1, 4, 9])


def test_less_than_a_day_knows_no_yesterday() -> None:
    assert np.isnan(yesterday(history([1, 4], 3), 3, LEVELS)).all()
    assert np.isnan(yesterday(history([1, 4, 9], 3), 3, LEVELS)).all()


def test_the_quantiles_are_those_of_past_errors() -> None:
    generator = np.random.default_rng(0)
    days = history((10 + generator.normal(size=4000)) ** 2, 10)

    told = np.sqrt(yesterday(days, 20, LEVELS)) - np.sqrt(yesterday(days, 20, (0.5,)))

    assert told[:, 2] == pytest.approx(1.28 * 2**0.5, abs=0.15)
    assert told[:, 0] == pytest.approx(-1.28 * 2**0.5, abs=0.15)


def test_the_last_value_known_is_carried_and_is_less_sure_the_farther_it_goes() -> None:
    walk = history((100 + np.cumsum(np.random.default_rng(1).normal(size=3000))) ** 2, 10)

    told = np.sqrt(last_value(walk, 30, LEVELS))

    assert np.diff(told[[0, 10, 29], 2]).min() > 1
    assert last_value(history([4, 4, 4, 9, np.nan], 9), 1, (0.5,)) == pytest.approx(9)


def test_one_value_has_no_errors_to_tell_quantiles_from() -> None:
    assert np.isnan(last_value(history([4], 9), 2, LEVELS)).all()
