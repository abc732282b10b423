import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.scoring.bootstrap import LossRatio, ratio_of_losses


def ratio(losses: np.ndarray, others: np.ndarray, *, block: int = 1) -> LossRatio:
    return ratio_of_losses(losses, others, np.random.default_rng(0), block=block)


def test_a_forecast_against_itself_is_within_noise() -> None:
    losses = np.random.default_rng(1).random(30)

    assert ratio(losses, losses) == LossRatio(
        pytest.approx(1), pytest.approx(1), pytest.approx(1), 30
    )
    assert ratio(losses, losses).is_within_noise


def test_a_loss_that_is_always_a_fifth_lower_is_lower_beyond_noise() -> None:
    others = np.random.default_rng(1).random(30)

    found = ratio(0.8 * others, others)

    assert found.ratio == pytest.approx(0.8)
    assert not found.is_within_noise


def test_luck_at_few_origins_is_within_noise() -> None:
    generator = np.random.default_rng(2)

    assert ratio(generator.random(8), generator.random(8)).is_within_noise


def test_origins_that_share_their_luck_tell_less() -> None:
    luck = np.repeat(np.random.default_rng(3).lognormal(0, 0.5, 40), 25)
    others = np.ones(1000)

    alone, together = ratio(luck, others), ratio(luck, others, block=25)

    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_an_origin_that_one_of_them_does_not_know_does_not_count() -> None:
    found = ratio(np.array([1.0, np.nan, 3.0]), np.array([2.0, 5.0, np.nan]))

    assert (found.ratio, found.origins) == (0.5, 1)


def test_nothing_to_compare_is_within_noise() -> None:
    assert ratio(np.array([np.nan]), np.array([1.0])).is_within_noise
    assert ratio(np.array([1.0]), np.array([0.0])).is_within_noise
    assert ratio(np.empty(0), np.empty(0)).origins == 0


@given(losses=st.lists(st.floats(0.01, 100), min_size=1, max_size=20), block=st.integers(1, 30))
def test_the_interval_holds_between_the_extremes_of_the_origins(
    losses: list[float], block: int
) -> None:
    values = np.array(losses)

    found = ratio(values, np.ones(values.size), block=block)

    if values.size < 3 * block:
        assert np.isnan([found.low, found.high]).all()
        return
    assert values.min() * (1 - 1e-6) <= found.low <= found.high <= values.max() * (1 + 1e-6)
