import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecaster.pipeline import ForecastSettings, Outcome, make_forecast
from telemetry.series import Series, Window

GAP = np.nan
SEASON = 48


def settings(horizon: int = 6, season: int = SEASON) -> ForecastSettings:
    return ForecastSettings("m", 60.0, season_steps=season, horizon_steps=horizon)


def series(values: np.ndarray) -> Series:
    return Series({}, Window(60.0, 60.0 * values.size, 60.0), values)


def forecast(values: np.ndarray, chosen: ForecastSettings | None = None) -> Outcome:
    outcome = make_forecast(series(values), chosen or settings())
    assert outcome is not None
    return outcome


def daily(steps: int) -> np.ndarray:
    return 20 + 15 * np.sin(2 * np.pi * np.arange(steps) / SEASON)


def test_a_periodic_demand_is_forecast_exactly() -> None:
    made = forecast(daily(4 * SEASON)).forecast

    assert made.model == "seasonal naive"
    assert made.origin == 60.0 * 4 * SEASON
    np.testing.assert_allclose(
        made.values, np.repeat(daily(4 * SEASON + 6)[-6:, None], 5, axis=1), rtol=1e-9
    )


def test_under_a_season_there_is_smoothing_only() -> None:
    outcome = forecast(daily(SEASON))

    assert [card.model.name for card in outcome.scorecards] == ["exponential smoothing"]


def test_demand_without_a_season_is_smoothed() -> None:
    rng = np.random.default_rng(1)
    walk = np.abs(np.cumsum(rng.normal(0, 1, 4 * SEASON)) + 50)

    assert forecast(walk).forecast.model == "exponential smoothing"


@pytest.mark.parametrize(
    ("points", "made"), [pytest.param(2, False, id="two"), pytest.param(3, True, id="three")]
)
def test_a_forecast_needs_three_points(points: int, made: bool) -> None:  # noqa: FBT001
    values = np.full(30, GAP)
    values[-points:] = 5.0

    assert (make_forecast(series(values), settings()) is not None) is made


def test_a_gap_is_never_taken_for_zero() -> None:
    rng = np.random.default_rng(1)
    demand = rng.poisson(daily(4 * SEASON) * 60) / 60
    demand[rng.random(demand.size) < 0.2] = GAP
    demand[-20:] = GAP
    made = forecast(demand).forecast

    expected = daily(4 * SEASON + 6)[-6:]
    assert np.all(made.at_quantile(0.5) > 0.7 * expected)


def test_after_a_gap_the_forecast_reaches_over_it_and_is_wider() -> None:
    rng = np.random.default_rng(1)
    walk = np.abs(np.cumsum(rng.normal(0, 1, 4 * SEASON)) + 50)
    fresh = forecast(walk).forecast
    stale = forecast(np.append(walk, np.full(20, GAP))).forecast

    assert stale.origin == fresh.origin + 20 * 60
    assert stale.values[0, -1] - stale.values[0, 0] > fresh.values[0, -1] - fresh.values[0, 0]


@pytest.mark.parametrize(
    ("gap", "made"),
    [pytest.param(SEASON, True, id="a season"), pytest.param(SEASON + 1, False, id="longer")],
)
def test_a_demand_not_seen_for_longer_than_a_season_is_not_forecast(
    gap: int,
    made: bool,  # noqa: FBT001
) -> None:
    values = np.append(daily(SEASON), np.full(gap, GAP))

    assert (make_forecast(series(values), settings()) is not None) is made


def test_nine_in_ten_stay_below_the_ninth_decile() -> None:
    rng = np.random.default_rng(1)
    demand = rng.poisson(daily(12 * SEASON) * 60) / 60
    ends = range(5 * SEASON, 12 * SEASON - 6, 5)
    below = [
        demand[end : end + 6] <= forecast(demand[end - 4 * SEASON : end]).forecast.at_quantile(0.9)
        for end in ends
    ]

    assert 0.85 <= np.mean(below) <= 0.96


@given(
    values=arrays(float, st.integers(3, 40), elements=st.floats(0.0, 1e5) | st.just(float("nan"))),
    season=st.integers(1, 12),
    horizon=st.integers(1, 8),
)
def test_whatever_the_demand_a_forecast_is_a_forecast(
    values: np.ndarray, season: int, horizon: int
) -> None:
    outcome = make_forecast(series(values), settings(horizon, season))
    if outcome is None:
        return

    made = outcome.forecast
    assert made.values.shape == (horizon, 5)
    assert np.isfinite(made.values).all()
    assert (made.values >= 0).all()
    assert (np.diff(made.values, axis=1) >= 0).all()


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"step_seconds": 0.0}, id="no step"),
        pytest.param({"season_steps": 0}, id="no season"),
        pytest.param({"horizon_steps": 0}, id="no horizon"),
        pytest.param({"history_seasons": 0}, id="no history"),
        pytest.param({"quantiles": (0.9, 0.1)}, id="falling quantiles"),
        pytest.param({"quantiles": (0.5, 1.0)}, id="a certain quantile"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    right = {"model": "m", "step_seconds": 60.0, "season_steps": 2, "horizon_steps": 2}

    with pytest.raises(ValueError, match="expected"):
        ForecastSettings(**{**right, **wrong})
