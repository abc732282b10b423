import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.forecast import Forecast
from forecaster.pipeline import ForecastSettings, Member, Outcome
from forecaster.scoring.backtest import backtest, came, mean_members
from telemetry.series import Series, Window

DAY = 24
SETTINGS = ForecastSettings(3600.0, DAY, 6, quantiles=(0.1, 0.5, 0.9), history_seasons=4)


def demand(values: np.ndarray) -> Demand:
    return Demand("m", Series({}, Window(3600.0, 3600.0 * values.size, 3600.0), values))


def days(count: int = 6) -> np.ndarray:
    hours = np.arange(count * DAY)
    noise = np.random.default_rng(0).random(hours.size)
    return 10 + 5 * np.sin(2 * np.pi * hours / DAY) + noise


def last_known(seen: Demand, settings: ForecastSettings) -> Outcome:
    """Forecast the mean of all that was seen: any look ahead would show."""
    level = float(np.nanmean(seen.rate.values))
    values = level * np.tile([0.5, 1.0, 1.5], (settings.horizon_steps, 1))
    forecast = Forecast(seen.origin, seen.step, settings.quantiles, values, "mean", 9)
    return Outcome(forecast, (Member("mean", 1.0, (1.0, 1.0, 1.0), 0.5),))


def test_what_comes_after_an_origin_changes_nothing_that_was_forecast_at_it() -> None:
    values = days()
    origins = np.array([70, 80, 90])
    poisoned = values.copy()
    poisoned[91:] = 1e9

    honest = backtest(demand(values), SETTINGS, origins, make=last_known)
    after = backtest(demand(poisoned), SETTINGS, origins, make=last_known)

    for told in ("forecast", "yesterday", "last", "scales"):
        np.testing.assert_array_equal(getattr(honest, told), getattr(after, told))
    assert after.actual[-1].min() == 1e9


def test_a_forecaster_sees_each_origin_as_the_last_step() -> None:
    values, seen = days(), []

    def spying(part: Demand, settings: ForecastSettings) -> Outcome:
        seen.append((part.size, part.origin))
        return last_known(part, settings)

    backtest(demand(values), SETTINGS, np.array([70, 80]), make=spying)

    assert seen == [(71, 71 * 3600.0), (81, 81 * 3600.0)]


def test_the_real_forecaster_does_not_look_ahead() -> None:
    values = days()
    poisoned = values.copy()
    poisoned[101:] = 1e9
    origins = np.array([100])

    honest = backtest(demand(values), SETTINGS, origins)
    after = backtest(demand(poisoned), SETTINGS, origins)

    np.testing.assert_array_equal(honest.forecast, after.forecast)
    assert honest.forecast.shape == (1, 6, 3)


def test_what_came_is_unknown_beyond_the_end_and_in_gaps() -> None:
    values = np.array([1.0, 2.0, np.nan, 4.0])

    np.testing.assert_array_equal(came(demand(values), np.array([0, 2]), 3), [
        [2.0, np.nan, 4.0], [4.0, np.nan, np.nan],
    ])  # fmt: skip


def test_origins_without_a_forecast_are_counted_and_left_out() -> None:
    def late(part: Demand, settings: ForecastSettings) -> Outcome | None:
        return last_known(part, settings) if part.size > 75 else None

    found = backtest(demand(days()), SETTINGS, np.array([70, 80]), make=late)

    assert (found.origins.tolist(), found.declined) == ([80], 1)


def test_no_forecast_at_all_is_an_empty_backtest() -> None:
    found = backtest(demand(days()), SETTINGS, np.array([70]), make=lambda _, __: None)

    assert found.forecast.shape == (0, 6, 3)
    assert found.losses().shape == (0,)


def test_progress_is_told_after_each_origin() -> None:
    told = []

    backtest(
        demand(days()),
        SETTINGS,
        np.array([70, 80]),
        make=last_known,
        on_progress=lambda done, of: told.append((done, of)),
    )

    assert told == [(1, 2), (2, 2)]


def test_the_loss_of_an_origin_is_the_mean_over_what_came() -> None:
    values = days()
    values[82:90] = np.nan
    whole = demand(values)
    origins = np.array([80, 84])

    lost = backtest(whole, SETTINGS, origins, make=last_known).losses()

    assert np.isfinite(lost[0])
    assert np.isnan(backtest(whole, SETTINGS, np.array([81]), make=last_known).losses()[0])


def test_a_member_counts_as_nothing_where_it_had_no_part() -> None:
    one = Member("one", 1.0, (1.0, 1.0, 1.0), 2.0)
    half = Member("one", 0.5, (0.5, 0.5, 0.5), float("nan"))
    other = Member("other", 0.5, (0.5, 0.5, 0.5), 4.0)

    found = mean_members([(one,), (half, other)])

    assert found == (
        Member("one", 0.75, (0.75, 0.75, 0.75), 2.0),
        Member("other", 0.25, (0.25, 0.25, 0.25), 4.0),
    )
    assert mean_members([]) == ()


def test_a_horizon_bucket_that_a_forecast_did_not_reach_is_like_its_last() -> None:
    near, far = Member("one", 1.0, (0.5,), 2.0), Member("one", 1.0, (0.3, 0.1), 2.0)

    assert mean_members([(near,), (far,)])[0].weights == pytest.approx((0.4, 0.3))


@pytest.mark.parametrize(
    ("begins", "ends", "steps"),
    [
        pytest.param(0, 60, 1, id="up to its end"),
        pytest.param(60, 180, 2, id="without its begin"),
        pytest.param(0, 45, 0, id="none where steps are longer"),
    ],
)
def test_a_part_of_the_horizon_is_a_backtest_too(begins: float, ends: float, steps: int) -> None:
    whole = backtest(demand(days()), SETTINGS, np.array([70]), make=last_known)

    part = whole.between(begins, ends)

    assert part.forecast.shape == (1, steps, 3)
    assert part.actual.shape == (1, steps)
