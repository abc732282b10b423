"""Which origins are judged, and what is asked there."""

import numpy as np
import pytest

from forecaster.combination.asking import Answer, Past, ask
from forecaster.history import History
from forecaster.models.autoregression import Autoregression
from forecaster.models.levels import LastValue

GAP = np.nan


def history(values: np.ndarray, season: int = 144) -> History:
    return History(values, 600.0, season)


def test_the_last_origin_is_the_present_and_knows_no_future() -> None:
    past = Past.of(history(np.arange(300.0)), first=1, last=6)

    assert past.origins[-1] == 299
    assert np.isnan(past.actual[-1]).all()


def test_what_came_after_an_origin_is_beside_it() -> None:
    past = Past.of(history(np.arange(300.0)), first=1, last=6)

    np.testing.assert_array_equal(past.actual[0], past.origins[0] + past.horizons)


def test_gaps_are_no_origins() -> None:
    values = np.ones(300)
    values[100:150] = GAP
    past = Past.of(history(values), first=1, last=6)

    assert not np.isin(np.arange(100, 150), past.origins).any()


@pytest.mark.parametrize(
    ("first", "last"), [pytest.param(1, 60, id="from now"), pytest.param(31, 90, id="late")]
)
def test_horizons_go_from_the_first_to_the_last(first: int, last: int) -> None:
    horizons = Past.of(history(np.ones(300)), first=first, last=last).horizons

    assert (horizons[0], horizons[-1]) == (first, last)
    assert horizons.size <= 13


def test_origins_stay_few_however_fine_the_steps() -> None:
    assert Past.of(history(np.ones(50_000), 8640), first=1, last=30).count <= 701


def test_overlapping_errors_tell_less_than_they_count() -> None:
    past = Past.of(history(np.ones(400)), first=1, last=100)

    assert past.told[0] == past.matured[0]
    assert past.told[-1] < past.matured[-1] / 10


def test_only_models_that_can_fit_are_asked() -> None:
    short = history(np.ones(30))
    answers = ask([LastValue(), Autoregression()], short, Past.of(short, first=1, last=6))

    assert [answer.name for answer in answers] == ["last value"]


def test_quantiles_between_levels_are_straight_and_flat_beyond() -> None:
    answer = Answer("m", (0.1, 0.5, 0.9), np.array([[[1.0, 5.0, 9.0]]]))

    asked = answer.at(np.array([0.05, 0.1, 0.3, 0.5, 0.9, 0.99]))

    np.testing.assert_allclose(asked[0, 0], [1.0, 1.0, 3.0, 5.0, 9.0, 9.0])


def test_a_path_is_the_same_at_every_quantile() -> None:
    answer = Answer("m", (0.5,), np.ones((4, 3, 1)))

    assert answer.at(np.array([0.1, 0.9])).shape == (4, 3, 1)
