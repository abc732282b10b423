"""What a history knows at each step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecaster.history import History

GAP = np.nan


def history(*values: float, season: int = 144) -> History:
    return History(np.array(values), 600.0, season)


def test_it_holds_the_roots_of_rates() -> None:
    made = History.of_rates(np.array([4.0, GAP, 9.0]), step=60.0, season=1440)

    np.testing.assert_array_equal(made.values, [2.0, GAP, 3.0])


def test_a_gap_keeps_the_latest_value_and_the_beginning_the_first() -> None:
    np.testing.assert_array_equal(history(GAP, 2, GAP, 5, GAP).filled, [2, 2, 2, 5, 5])


def test_a_mean_is_over_what_is_known() -> None:
    np.testing.assert_array_equal(
        history(1, 3, GAP, 5, GAP, GAP, GAP).mean(2), [1, 2, 3, 5, 5, 5, 5]
    )


def test_what_came_later_is_unknown_beyond_the_end() -> None:
    after = history(1, 2, 3).after(np.array([0, 2]), np.array([1, 2]))

    np.testing.assert_array_equal(after, [[2, 3], [GAP, GAP]])


@pytest.mark.parametrize(
    ("season", "steps"),
    [pytest.param(1440, 15, id="minutes"), pytest.param(144, 2, id="ten minutes"),
     pytest.param(24, 1, id="hours: one at least")],
)  # fmt: skip
def test_minutes_are_those_of_the_day_that_a_season_is(season: int, steps: int) -> None:
    assert history(1.0, season=season).steps(15) == steps


def test_nothing_known_is_no_history() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        history(GAP, GAP)


@given(arrays(np.float64, (30,), elements=st.floats(0, 1e3) | st.just(GAP)), st.integers(1, 40))
def test_means_are_known_everywhere_and_stay_among_the_values(
    values: np.ndarray, window: int
) -> None:
    known = values[np.isfinite(values)]
    if known.size:
        mean = History(values, 60.0, 1440).mean(window)

        assert np.all(mean >= known.min() - 1e-6)
        assert np.all(mean <= known.max() + 1e-6)
