import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecaster.scoring import scores

LEVELS = (0.1, 0.5, 0.9)


def test_pinball_charges_a_quantile_by_its_level() -> None:
    assert scores.pinball(np.array([10.0]), np.array([[8.0]]), [0.9]) == pytest.approx(0.9 * 2)
    assert scores.pinball(np.array([8.0]), np.array([[10.0]]), [0.9]) == pytest.approx(0.1 * 2)


def test_gaps_do_not_count() -> None:
    actual = np.array([np.nan, 10.0])
    forecast = np.array([[0.0], [10.0]])

    assert scores.pinball(actual, forecast, [0.5]) == 0.0
    assert scores.weighted_quantile_loss(actual, forecast, [0.5]) == 0.0
    assert scores.coverage(actual, forecast[:, 0]) == 1.0


def test_nothing_to_compare_is_not_a_score() -> None:
    gap, forecast = np.array([np.nan]), np.array([[1.0]])

    assert np.isnan(scores.pinball(gap, forecast, [0.5]))
    assert np.isnan(scores.weighted_quantile_loss(gap, forecast, [0.5]))
    assert np.isnan(scores.weighted_quantile_loss(np.array([0.0]), forecast, [0.5]))
    assert np.isnan(scores.coverage(gap, np.array([1.0])))
    assert np.isnan(scores.naive_scale(np.arange(3.0), 3))
    assert np.isnan(scores.histogram(np.array([np.nan]))).all()


def test_the_weighted_loss_is_twice_the_pinball_over_what_was_asked() -> None:
    actual = np.array([10.0, 30.0])
    forecast = np.array([[8.0], [30.0]])

    assert scores.weighted_quantile_loss(actual, forecast, [0.5]) == pytest.approx(2 * 1.0 / 40.0)


def test_the_weighted_loss_has_no_unit() -> None:
    generator = np.random.default_rng(0)
    actual, forecast = generator.random(50), np.sort(generator.random((50, 3)), axis=1)

    assert scores.weighted_quantile_loss(60 * actual, 60 * forecast, LEVELS) == pytest.approx(
        scores.weighted_quantile_loss(actual, forecast, LEVELS)
    )


def test_an_error_is_scaled_by_how_far_days_are_apart() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, np.nan, 6.0])

    assert scores.naive_scale(values, 2) == 2.0  # 3-1, 4-2, 6-4
    assert scores.scaled_error(np.array([[8.0]]), np.array([[5.0]]), np.array([2.0])) == 1.5
    assert scores.scaled_error(np.array([[8.0]]), np.array([[5.0]]), 3.0) == 1.0


def test_coverage_is_the_share_at_or_below() -> None:
    actual = np.array([1.0, 2.0, 3.0, 4.0])

    assert scores.coverage(actual, np.full(4, 3.0)) == 0.75
    assert scores.coverages(actual, np.tile([1.0, 4.0], (4, 1)), (0.1, 0.9)) == {0.1: 0.25, 0.9: 1}


@pytest.mark.parametrize(
    ("actual", "forecast", "least", "most"),
    [
        pytest.param(1.5, [1, 2, 3], 0.3, 0.3, id="between two levels it is interpolated"),
        pytest.param(2.0, [1, 2, 3], 0.5, 0.5, id="on a level it is the level"),
        pytest.param(0.5, [1, 2, 3], 0.0, 0.1, id="below all levels it is drawn below them"),
        pytest.param(3.5, [1, 2, 3], 0.9, 1.0, id="above all levels it is drawn above them"),
        pytest.param(0.0, [0, 0, 3], 0.0, 0.5, id="among levels that are all zero it is drawn"),
        pytest.param(2.0, [1, 2, 2], 0.5, 1.0, id="a highest value that is repeated is drawn"),
        pytest.param(2.0, [2, 2, 2], 0.0, 1.0, id="a forecast that is one number leaves all open"),
    ],
)
def test_the_pit_is_drawn_where_the_forecast_leaves_it_open(
    actual: float, forecast: list[float], least: float, most: float
) -> None:
    rows = np.tile(np.array(forecast, float), (400, 1))

    drawn = scores.pit(np.full(400, actual), rows, LEVELS, np.random.default_rng(0))

    assert drawn.min() >= least - 1e-12
    assert drawn.max() <= most + 1e-12
    assert drawn.mean() == pytest.approx((least + most) / 2, abs=0.05)


def test_the_pit_of_a_right_forecast_is_flat_even_where_half_of_demand_is_zero() -> None:
    generator = np.random.default_rng(1)
    levels = np.linspace(0.02, 0.98, 49)
    actual = np.maximum(generator.normal(size=20_000), 0.0)
    sample = np.quantile(np.maximum(generator.normal(size=200_000), 0.0), levels)

    drawn = scores.pit(actual, np.tile(sample, (20_000, 1)), levels, generator)

    assert scores.histogram(drawn, 5) == pytest.approx(np.full(5, 0.2), abs=0.015)


def test_the_pit_of_a_gap_is_a_gap() -> None:
    drawn = scores.pit(
        np.array([np.nan, 2.0]),
        np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]]),
        LEVELS,
        np.random.default_rng(0),
    )

    assert np.isnan(drawn).all()


@given(
    actual=arrays.arrays(float, 5, elements=st.floats(0, 1e6)),
    forecast=arrays.arrays(float, (5, 3), elements=st.floats(0, 1e6)),
)
def test_scores_stay_in_their_bounds(actual: np.ndarray, forecast: np.ndarray) -> None:
    forecast = np.sort(forecast, axis=1)

    drawn = scores.pit(actual, forecast, LEVELS, np.random.default_rng(0))

    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert scores.pinball(actual, forecast, LEVELS) >= 0
    assert all(0 <= one <= 1 for one in scores.coverages(actual, forecast, LEVELS).values())


def test_the_last_bit_of_a_level_that_repeats_is_no_loss() -> None:
    actual = np.array([7.0])

    assert scores.pinball(actual, np.array([[np.nextafter(7.0, 8)]]), [0.5]) == 0.0
    assert scores.pinball(actual, np.array([[7.0 * (1 + 1e-6)]]), [0.5]) > 0.0
