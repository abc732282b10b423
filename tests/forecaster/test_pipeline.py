"""What a forecast promises, whatever the history."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecaster.demand.demand import TOKENS, Demand
from forecaster.forecast import Doubt, Forecast
from forecaster.models.levels import LastValue, MovingAverage
from forecaster.pipeline import ForecastSettings, make_forecast
from telemetry.series import Series, Window

GAP = np.nan
SEASON = 144
STEP = 600.0
SETTINGS = ForecastSettings(STEP, SEASON, 12)


def demand(rates: np.ndarray, **more: object) -> Demand:
    window = Window(STEP, STEP * rates.size, STEP)
    return Demand("m", Series({}, window, np.asarray(rates, dtype=float)), **more)  # type: ignore[arg-type]


def daily(steps: int) -> np.ndarray:
    return 20 + 15 * np.sin(2 * np.pi * np.arange(steps) / SEASON)


def counted(rates: np.ndarray, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).poisson(rates * STEP) / STEP


def walk(steps: int, seed: int = 1) -> np.ndarray:
    return np.abs(np.cumsum(np.random.default_rng(seed).normal(0, 1, steps)) + 100)


def forecast(rates: np.ndarray, chosen: ForecastSettings = SETTINGS) -> Forecast:
    outcome = make_forecast(demand(rates), chosen)
    assert outcome is not None
    return outcome.forecast


def test_a_daily_demand_is_forecast_as_it_was() -> None:
    made = forecast(counted(daily(6 * SEASON)))

    expected = daily(6 * SEASON + 12)[-12:]
    np.testing.assert_allclose(made.at_quantile(0.5), expected, rtol=0.05)


def test_the_forecast_begins_where_demand_ends() -> None:
    made = forecast(daily(2 * SEASON))

    assert made.origin == STEP * 2 * SEASON
    assert made.times[0] == made.origin + STEP
    assert made.steps == 12


def test_quantiles_cover_as_much_as_they_say() -> None:
    made = make_forecast(demand(walk(6 * SEASON)), SETTINGS)

    assert made is not None
    assert made.forecast.calibration is not None
    covered = made.forecast.calibration.coverage
    assert 0 < made.forecast.calibration.loss < 10
    assert {q: covered[q] for q in (0.1, 0.5, 0.9)} == pytest.approx(
        {0.1: 0.1, 0.5: 0.5, 0.9: 0.9}, abs=0.04
    )


def test_what_comes_is_covered_as_often_as_said() -> None:
    rates = walk(12 * SEASON, seed=3)
    below = []
    for end in range(4 * SEASON, 12 * SEASON - 12, 61):
        made = forecast(rates[:end])
        below.append(rates[end : end + 12] <= made.at_quantile(0.9))

    assert np.mean(below) == pytest.approx(0.9, abs=0.08)


@pytest.mark.parametrize(
    ("points", "made"), [pytest.param(2, False, id="two"), pytest.param(3, True, id="three")]
)
def test_a_forecast_needs_three_points(points: int, made: bool) -> None:  # noqa: FBT001
    rates = np.full(30, GAP)
    rates[-points:] = 5.0

    assert (make_forecast(demand(rates), SETTINGS) is not None) is made


@pytest.mark.parametrize(
    ("silent", "made"),
    [pytest.param(SEASON, True, id="a season"), pytest.param(SEASON + 1, False, id="longer")],
)
def test_silence_for_more_than_a_season_ends_all_forecasts(silent: int, made: bool) -> None:  # noqa: FBT001
    rates = np.append(daily(3 * SEASON), np.full(silent, GAP))

    assert (make_forecast(demand(rates), SETTINGS) is not None) is made


def test_a_gap_is_never_taken_for_zero() -> None:
    rates = counted(daily(5 * SEASON))
    rates[np.random.default_rng(2).random(rates.size) < 0.2] = GAP
    rates[-7:-1] = GAP
    made = forecast(rates)

    expected = daily(5 * SEASON + 12)[-12:]
    assert np.all(made.at_quantile(0.5) > 0.8 * expected)
    assert Doubt.GAPS in made.doubts


def test_after_a_gap_the_band_is_wider() -> None:
    fresh, stale = (
        forecast(walk(5 * SEASON)),
        forecast(np.append(walk(5 * SEASON), np.full(12, GAP))),
    )

    def width(made: Forecast) -> float:
        return float((made.at_quantile(0.9) - made.at_quantile(0.1))[0])

    assert width(stale) > 1.5 * width(fresh)
    assert Doubt.LATE in stale.doubts
    assert fresh.may_scale_down


def test_what_is_ignored_is_not_learnt_from() -> None:
    rates = counted(daily(5 * SEASON))
    spoilt = rates.copy()
    spoilt[-40:-20] = 500.0
    ignored = np.zeros(rates.size, dtype=bool)
    ignored[-40:-20] = True
    made = make_forecast(demand(spoilt, ignored=ignored), SETTINGS)

    assert made is not None
    assert made.forecast.at_quantile(0.99).max() < 100


def test_a_constant_demand_stays() -> None:
    made = forecast(np.full(3 * SEASON, 5.0))

    np.testing.assert_allclose(made.at_quantile(0.9), 5.0, rtol=0.05)


def test_no_quantile_is_far_beyond_all_that_was_seen() -> None:
    rates = np.append(np.zeros(3 * SEASON), np.ones(6))

    assert forecast(rates).values.max() <= 1.5**2


def test_after_long_silence_few_requests_are_not_a_flood() -> None:
    tokens = demand(np.append(np.zeros(300), [3.0]), unit=TOKENS)
    made = make_forecast(tokens, SETTINGS)

    assert made is not None
    assert made.forecast.unit == TOKENS


def test_siblings_tell_how_far_errors_go_where_there_are_few() -> None:
    young, grown = counted(daily(6)), counted(daily(6 * SEASON), seed=2)
    alone = make_forecast(demand(young), SETTINGS)
    among = make_forecast(demand(young), SETTINGS, siblings=[demand(grown)])

    assert alone is not None
    assert among is not None
    assert Doubt.SHORT in alone.forecast.doubts
    assert among.forecast.at_quantile(0.9)[-1] > 1.5 * alone.forecast.at_quantile(0.9)[-1]


def test_a_sibling_on_another_grid_has_no_say() -> None:
    young = demand(counted(daily(6)))
    other = Demand("o", Series({}, Window(60.0, 60.0 * 500, 60.0), np.ones(500)))

    alone, among = (make_forecast(young, SETTINGS, siblings=s) for s in ((), (other,)))

    assert alone is not None
    assert among is not None
    np.testing.assert_array_equal(alone.forecast.values, among.forecast.values)


def test_members_are_told_with_their_weights_the_weightiest_first() -> None:
    made = make_forecast(demand(counted(daily(5 * SEASON))), SETTINGS)

    assert made is not None
    weights = [member.weight for member in made.members]
    assert sum(weights) == pytest.approx(1.0)
    assert weights == sorted(weights, reverse=True)
    assert made.forecast.weights == {m.name: m.weight for m in made.members}


def test_only_the_given_models_are_asked() -> None:
    made = make_forecast(demand(walk(300)), SETTINGS, models=[LastValue(), MovingAverage(30)])

    assert made is not None
    assert {member.name for member in made.members} == {"last value", "mean of 30 min"}


def test_scenarios_have_the_lengths_of_requests_where_these_are_known() -> None:
    rates = counted(daily(5 * SEASON))
    window = Window(STEP, STEP * rates.size, STEP)
    made = make_forecast(demand(rates, input_tokens=Series({}, window, rates * 300.0)), SETTINGS)

    assert made is not None
    assert made.forecast.scenarios is not None
    assert made.forecast.scenarios.rate.shape == (200, 12)
    assert made.forecast.scenarios.input_tokens == pytest.approx(300.0)
    assert made.forecast.scenarios.output_tokens is None


def test_no_scenarios_are_drawn_where_none_are_asked_for() -> None:
    assert forecast(walk(300), ForecastSettings(STEP, SEASON, 6, paths=0)).scenarios is None


def test_the_same_demand_gives_the_same_forecast() -> None:
    first, second = (make_forecast(demand(walk(500)), SETTINGS, seed=4) for _ in range(2))

    assert first is not None
    assert second is not None
    assert first.forecast.scenarios is not None
    assert second.forecast.scenarios is not None
    np.testing.assert_array_equal(first.forecast.scenarios.rate, second.forecast.scenarios.rate)


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.float64, st.integers(3, 400), elements=st.floats(0, 1e6) | st.just(GAP)),
    st.integers(1, 40),
)
def test_quantiles_are_finite_rise_and_are_never_negative(rates: np.ndarray, ahead: int) -> None:
    made = make_forecast(demand(rates), ForecastSettings(STEP, SEASON, ahead, paths=20))

    if made is None:
        assert np.isfinite(rates).sum() < 3 or not np.isfinite(rates[-SEASON - 1 :]).any()
    else:
        values = made.forecast.values
        assert np.all(np.isfinite(values))
        assert np.all(values >= 0)
        assert np.all(np.diff(values, axis=1) >= 0)


@pytest.mark.parametrize(
    "scale", [pytest.param(100.0, id="x 100"), pytest.param(0.01, id="/ 100")]
)
def test_tokens_are_forecast_alike_in_any_unit(scale: float) -> None:
    rates = walk(3 * SEASON)
    small, large = (
        make_forecast(demand(rates * factor, unit=TOKENS), SETTINGS) for factor in (1.0, scale)
    )

    assert small is not None
    assert large is not None
    np.testing.assert_allclose(large.forecast.values, scale * small.forecast.values, rtol=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"step_seconds": 0.0}, id="no step"),
        pytest.param({"horizon_steps": 0}, id="no horizon"),
        pytest.param({"season_steps": 0}, id="no season"),
        pytest.param({"history_seasons": 0}, id="no history"),
        pytest.param({"paths": -1}, id="negative paths"),
        pytest.param({"quantiles": (0.9, 0.1)}, id="falling quantiles"),
        pytest.param({"quantiles": (0.5, 1.0)}, id="a quantile of one"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    right = {"step_seconds": 60.0, "season_steps": 10, "horizon_steps": 3}

    with pytest.raises(ValueError, match="expected"):
        ForecastSettings(**{**right, **wrong})  # type: ignore[arg-type]
