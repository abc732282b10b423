import numpy as np
import pytest

from forecaster.cli.asked import Asked, Source
from forecaster.cli.durations import Span
from forecaster.cli.settings import settings_of
from forecaster.demand.demand import Demand, DemandError
from telemetry.series import Series, Window


def demand(step: float) -> Demand:
    return Demand("m", Series({}, Window(step, 10 * step, step), np.ones(10)))


@pytest.mark.parametrize(
    ("step", "season", "horizon"),
    [
        pytest.param(60.0, 1440, 60, id="minutes: a day, and an hour ahead"),
        pytest.param(600.0, 144, 6, id="ten minutes"),
        pytest.param(3600.0, 24, 6, id="hours: six of them"),
        pytest.param(86_400.0, 7, 6, id="days: a week"),
    ],
)
def test_the_step_of_the_file_says_what_is_forecast(
    step: float, season: int, horizon: int
) -> None:
    settings = settings_of(Asked(Source("x")), demand(step))

    assert (settings.season_steps, settings.horizon_steps) == (season, horizon)


def test_the_horizon_reaches_as_far_as_the_window_that_is_asked_for() -> None:
    asked = Asked(Source("x"), horizon=Span(steps=5), lead=300.0, window=600.0)

    assert settings_of(asked, demand(60.0)).horizon_steps == 15


def test_levels_that_are_asked_for_are_forecast_besides_the_usual_ones() -> None:
    quantiles = settings_of(Asked(Source("x"), quantiles=(0.42,)), demand(60.0)).quantiles

    assert 0.42 in quantiles
    assert 0.99 in quantiles
    assert list(quantiles) == sorted(quantiles)


@pytest.mark.parametrize("season", [90.0, 30.0])
def test_a_season_of_no_whole_number_of_steps_is_refused(season: float) -> None:
    with pytest.raises(DemandError, match="a whole number of steps"):
        settings_of(Asked(Source("x"), season=season), demand(60.0))


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(Asked(Source("x"), horizon=Span(steps=50_001)), id="horizon"),
        pytest.param(Asked(Source("x"), lead=50_000 * 60.0, window=60.0), id="window"),
    ],
)
def test_farther_than_memory_reaches_is_refused(asked: Asked) -> None:
    with pytest.raises(DemandError, match="at most 50,000 steps ahead, got 50,001"):
        settings_of(asked, demand(60.0))
