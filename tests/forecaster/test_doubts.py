"""When a forecast does not justify scaling down."""

import numpy as np
import pytest

from forecaster.doubts import doubts_about
from forecaster.forecast import Doubt

GAP = np.nan
SEASON = 1440
KNOWN = np.ones(3 * SEASON)


def without(*parts: slice) -> np.ndarray:
    rates = KNOWN.copy()
    for part in parts:
        rates[part] = GAP
    return rates


@pytest.mark.parametrize(
    ("rates", "found"),
    [
        pytest.param(KNOWN, (), id="all known"),
        pytest.param(without(slice(-31, -1)), (), id="half an hour missing"),
        pytest.param(without(slice(-32, -1)), (Doubt.GAPS,), id="more of the last hour"),
        pytest.param(without(slice(-500, -100)), (), id="a quarter of the day"),
        pytest.param(without(slice(-600, -100)), (Doubt.GAPS,), id="a third of the day"),
        pytest.param(without(slice(0, SEASON)), (), id="only long ago"),
    ],
)
def test_large_gaps_are_doubtful(rates: np.ndarray, found: tuple[Doubt, ...]) -> None:
    assert doubts_about(rates, season=SEASON, late=0, errors=500) == found


@pytest.mark.parametrize(("late", "found"), [(29, ()), (30, (Doubt.LATE,))])
def test_demand_that_is_half_an_hour_old_is_late(late: int, found: tuple[Doubt, ...]) -> None:
    assert doubts_about(KNOWN, season=SEASON, late=late, errors=500) == found


@pytest.mark.parametrize(("errors", "found"), [(30, ()), (29, (Doubt.SHORT,))])
def test_thirty_errors_are_the_least(errors: int, found: tuple[Doubt, ...]) -> None:
    assert doubts_about(KNOWN, season=SEASON, late=0, errors=errors) == found
