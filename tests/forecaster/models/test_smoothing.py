import numpy as np
import pytest
from statsmodels.tsa.holtwinters import ExponentialSmoothing

from forecaster.history import Floats, History
from forecaster.models.smoothing import DampedTrend, HoltWinters, Rates, run

GAP = np.nan
RATES = Rates(level=0.3, trend=0.1, season=0.2, damping=0.9)
NO_SEASON = np.zeros(1)


def roots(size: int, season: int = 12) -> Floats:
    noise = np.random.default_rng(1).normal(0, 0.3, size)
    return 10.0 + 2.0 * np.sin(2 * np.pi * np.arange(size) / season) + noise


def history_of(values: Floats, season: int = 12) -> History:
    return History(values, step=300.0, season=season)


def test_the_recursion_is_the_one_that_the_rates_were_fitted_with() -> None:
    values, season = roots(60), np.linspace(-1.0, 1.0, 12)
    peer = ExponentialSmoothing(
        values, trend="add", damped_trend=True, seasonal="add", seasonal_periods=12,
        initialization_method="known", initial_level=10.0, initial_trend=0.0,
        initial_seasonal=season,
    ).fit(
        smoothing_level=0.3, smoothing_trend=0.1, smoothing_seasonal=0.2, damping_trend=0.9,
        optimized=False,
    )  # fmt: skip

    states = run(values, RATES, level=10.0, season=season)

    # the twelfth step is left out: the peer does not put the last value seen into its season
    horizons = np.array([*range(1, 12), *range(13, 24)])
    told = states.paths(np.array([59]), horizons)[0, :, 0]
    np.testing.assert_allclose(told, peer.forecast(30)[horizons - 1])


def test_a_gap_leaves_the_states_as_they_were() -> None:
    values = roots(60)
    states = run(np.append(values, [GAP] * 5), RATES, level=10.0, season=NO_SEASON)

    told = states.paths(np.array([59, 64]), np.arange(1, 4))

    np.testing.assert_array_equal(told[0], told[1])


def test_a_gap_does_not_shift_the_season() -> None:
    values = np.tile(np.arange(12.0), 5)
    values[30:37] = GAP
    season = np.arange(12.0) - 5.5

    states = run(values, RATES, level=5.5, season=season)

    told = states.paths(np.array([36]), np.arange(1, 13))[0, :, 0]
    np.testing.assert_allclose(told, np.roll(np.arange(12.0), -37 % 12)[:12], atol=1e-9)


def test_a_past_origin_is_answered_from_the_states_known_there() -> None:
    values, season = roots(80), np.linspace(-1.0, 1.0, 12)
    horizons = np.arange(1, 30)
    states = run(values, RATES, level=10.0, season=season)

    for origin in (0, 5, 40, 79):
        then = run(values[: origin + 1], RATES, level=10.0, season=season)
        np.testing.assert_array_equal(
            states.paths(np.array([origin]), horizons), then.paths(np.array([origin]), horizons)
        )


def test_a_shift_is_followed() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 200)
    values = np.where(np.arange(200) < 140, 3.0, 6.0) + noise

    told = DampedTrend().fit(history_of(values)).paths(np.array([199]), np.array([1]))

    assert told[0, 0, 0] == pytest.approx(6.0, abs=0.3)


def test_a_trend_dies_down() -> None:
    values = np.linspace(1.0, 9.0, 200)

    fitted = DampedTrend().fit(history_of(values))
    near, far, farther = fitted.paths(np.array([199]), np.array([1, 10_000, 20_000]))[0, :, 0]

    assert 9.0 <= near < far
    assert far == pytest.approx(farther)


def test_the_season_is_expected_again() -> None:
    values = 10.0 + 3.0 * np.sin(2 * np.pi * np.arange(120) / 24)

    fitted = HoltWinters().fit(history_of(values, season=24))
    told = fitted.paths(np.array([119]), np.arange(1, 25))[0, :, 0]

    np.testing.assert_allclose(told, values[96:], atol=0.7)


def test_the_season_to_begin_with_is_not_taken_from_the_newer_half() -> None:
    values = roots(240)
    changed = values.copy()
    changed[121:] = 50.0

    before, after = (HoltWinters().fit(history_of(v)).season[:12] for v in (values, changed))

    np.testing.assert_array_equal(before, after)


def test_holt_winters_declines_less_than_two_seasons() -> None:
    assert not HoltWinters().can_fit(history_of(roots(71), season=36))
    assert HoltWinters().can_fit(history_of(roots(72), season=36))


@pytest.mark.parametrize("model", [DampedTrend(), HoltWinters()], ids=lambda model: model.name)
def test_what_was_learnt_follows_a_later_history(model):
    rng = np.random.default_rng(0)
    values = 10 + np.sin(np.arange(6 * 48) / 48 * 2 * np.pi) + 0.1 * rng.normal(size=6 * 48)
    early, late = (History(values[:size], 1800.0, 48) for size in (5 * 48, 6 * 48))
    now = np.array([late.size - 1])

    followed = model.fit(early).at(late).paths(now, np.array([1, 6]))

    np.testing.assert_allclose(followed, model.fit(late).paths(now, np.array([1, 6])), atol=0.3)
