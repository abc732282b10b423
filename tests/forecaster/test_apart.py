"""Large tenants forecast apart: which are large, what is left, and how the pieces add up."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecaster.apart import add, forecast_apart, large_parts, rest
from forecaster.demand.demand import Demand, DemandError
from forecaster.drawing import Lengths, draw
from forecaster.forecast import Doubt, Forecast
from forecaster.pipeline import ForecastSettings, Member, Outcome
from forecaster.scenarios import Scenarios
from telemetry.series import Series, Window

DAY = 48
SETTINGS = ForecastSettings(1800.0, DAY, 4, paths=100)
QUANTILES = np.array(SETTINGS.quantiles)


def demand(values: np.ndarray, name: str = "total") -> Demand:
    window = Window(0.0, 1800.0 * (values.size - 1), 1800.0)
    return Demand(name, Series({}, window, values))


def with_tokens(one: Demand, per_request: float) -> Demand:
    tokens = replace(one.rate, values=per_request * one.rate.values)
    return replace(one, input_tokens=tokens, output_tokens=tokens)


def make(asked: Demand, settings: ForecastSettings) -> Outcome:
    """Forecast between half and one and a half of the last value, with errors all follow."""
    last = float(asked.rate.values[-1])
    values = np.repeat(last * (0.5 + QUANTILES)[None, :], settings.horizon_steps, axis=0)
    errors = np.random.default_rng(0).standard_normal((200, settings.horizon_steps))
    scenarios = draw(
        values,
        settings.quantiles,
        errors,
        count=settings.paths,
        generator=np.random.default_rng(1),
        lengths=Lengths(np.arange(200) // 2, asked.input_lengths, asked.output_lengths),
    )
    forecast = Forecast(
        asked.origin,
        asked.step,
        settings.quantiles,
        values,
        "fake",
        200,
        scenarios=scenarios,
        doubts=(Doubt.GAPS,) if asked.name == "rest" else (),
    )
    return Outcome(forecast, (Member("fake", 1.0, (1.0, 1.0, 1.0), 0.1),))


def independently(asked: Demand, settings: ForecastSettings) -> Outcome:
    """Forecast as `make` does, without telling which past the paths follow."""
    made = make(asked, settings)
    assert made.forecast.scenarios is not None
    scenarios = replace(made.forecast.scenarios, rows=None)
    return replace(made, forecast=replace(made.forecast, scenarios=scenarios))


def never(asked: Demand, settings: ForecastSettings) -> Outcome | None:
    """Forecast the total alone."""
    return make(asked, settings) if asked.name == "total" else None


TOTAL = demand(np.full(4 * DAY, 90.0))
LARGE = demand(np.full(4 * DAY, 60.0), "large")
SMALL = demand(np.full(4 * DAY, 30.0), "small")


def test_parts_above_a_third_of_the_last_day_are_large() -> None:
    was_large = demand(np.concatenate([np.full(3 * DAY, 80.0), np.full(DAY, 5.0)]), "was")

    assert large_parts(TOTAL, [SMALL, LARGE, was_large], last=DAY) == [LARGE]


def test_a_part_on_another_grid_is_refused() -> None:
    with pytest.raises(DemandError, match="expected 'short' on the grid of 'total'"):
        large_parts(TOTAL, [demand(np.ones(3), "short")], last=DAY)


def test_the_rest_is_a_gap_where_a_part_is_one_and_never_below_zero() -> None:
    total = demand(np.array([9.0, 9.0, np.nan, 9.0]))
    part = demand(np.array([4.0, np.nan, 4.0, 10.0]), "part")

    np.testing.assert_array_equal(rest(total, [part]).rate.values, [5.0, np.nan, np.nan, 0.0])


def test_the_rest_ignores_what_any_of_them_ignores_and_knows_tokens_if_all_do() -> None:
    flags = np.zeros(4 * DAY, dtype=np.bool_)
    flags[3] = True
    part = with_tokens(replace(LARGE, ignored=flags), 10.0)

    left = rest(with_tokens(TOTAL, 20.0), [part])

    assert left.ignored is not None
    np.testing.assert_array_equal(left.ignored, flags)
    assert left.input_lengths is not None
    np.testing.assert_allclose(left.input_lengths, 40.0)
    assert rest(with_tokens(TOTAL, 20.0), [LARGE]).input_tokens is None


def test_pieces_that_follow_one_past_are_as_uncertain_as_their_sum() -> None:
    together = forecast_apart(TOTAL, [LARGE, SMALL], SETTINGS, make=make)

    direct = make(TOTAL, SETTINGS)
    assert together is not None
    np.testing.assert_allclose(together.forecast.values, direct.forecast.values, rtol=2e-3)
    assert together.forecast.scenarios is not None
    assert together.forecast.scenarios.rows is not None
    assert together.forecast.scenarios.count == SETTINGS.paths


def test_pieces_of_which_no_common_past_is_known_are_taken_as_independent() -> None:
    apart = forecast_apart(TOTAL, [LARGE, SMALL], SETTINGS, make=independently)

    direct = make(TOTAL, SETTINGS).forecast
    assert apart is not None
    assert (apart.forecast.at_quantile(0.95) < direct.at_quantile(0.95)).all()
    assert (apart.forecast.at_quantile(0.05) > direct.at_quantile(0.05)).all()
    np.testing.assert_allclose(apart.forecast.at_quantile(0.5), 90.0, rtol=0.03)
    assert apart.forecast.scenarios is not None
    assert apart.forecast.scenarios.rows is None


def test_doubts_and_members_of_all_pieces_are_told() -> None:
    apart = forecast_apart(TOTAL, [LARGE, SMALL], SETTINGS, make=make)

    assert apart is not None
    assert apart.forecast.doubts == (Doubt.GAPS,)
    assert [member.name for member in apart.members] == ["large: fake", "rest: fake"]
    assert [member.weight for member in apart.members] == pytest.approx([2 / 3, 1 / 3])
    assert apart.forecast.weights == pytest.approx({"large: fake": 2 / 3, "rest: fake": 1 / 3})


def test_lengths_of_the_sum_are_the_mean_over_all_requests() -> None:
    part = with_tokens(LARGE, 10.0)

    apart = forecast_apart(with_tokens(TOTAL, 20.0), [part], SETTINGS, make=make)

    assert apart is not None
    assert apart.forecast.scenarios is not None
    assert apart.forecast.scenarios.input_tokens is not None
    np.testing.assert_allclose(apart.forecast.scenarios.input_tokens, 20.0)


@pytest.mark.parametrize(
    ("parts", "asked"),
    [
        pytest.param([SMALL], make, id="no large part"),
        pytest.param([LARGE], never, id="a piece that cannot be forecast"),
    ],
)
def test_otherwise_the_total_is_forecast_as_it_is(parts: list[Demand], asked: object) -> None:
    outcome = forecast_apart(TOTAL, parts, SETTINGS, make=asked)  # type: ignore[arg-type]

    assert outcome is not None
    assert outcome.forecast.model == "fake"
    np.testing.assert_array_equal(outcome.forecast.values, make(TOTAL, SETTINGS).forecast.values)


def test_no_scenarios_are_returned_where_none_are_asked_for() -> None:
    apart = forecast_apart(TOTAL, [LARGE], replace(SETTINGS, paths=0), make=make)

    assert apart is not None
    assert apart.forecast.model == "apart"
    assert apart.forecast.scenarios is None


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), shared=st.booleans())
def test_the_mean_of_a_sum_is_the_sum_of_the_means(seed: int, *, shared: bool) -> None:
    generator = np.random.default_rng(seed)
    rows = np.arange(-20, 0) if shared else None
    pieces = [Scenarios(generator.gamma(1.0, 5.0, (20, 3)), rows=rows) for _ in range(3)]

    summed = add(pieces, generator)

    means = sum(piece.rate.mean(axis=0) for piece in pieces)
    np.testing.assert_allclose(summed.rate.mean(axis=0), means)
