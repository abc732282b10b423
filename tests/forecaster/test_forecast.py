"""Forecast: quantiles per step, and of the highest rate over a window."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecaster.drawing import draw
from forecaster.forecast import QUANTILES, Doubt, Forecast
from forecaster.scenarios import Scenarios

STEP = 60.0
KEEPS, NOISE = 0.9, 0.15


def forecast(values: list[list[float]], scenarios: Scenarios | None = None) -> Forecast:
    return Forecast(
        1000.0, STEP, (0.1, 0.5, 0.9), np.array(values), "test", 0, scenarios=scenarios
    )


RISING = [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [3.0, 4.0, 9.0]]


def futures(count: int, steps: int, generator: np.random.Generator) -> np.ndarray:
    """Return logarithms of rates: a level that persists, and noise of each step's own."""
    level, paths = np.zeros(count), []
    for _ in range(steps):
        level = KEEPS * level + 0.15 * generator.standard_normal(count)
        paths.append(level + NOISE * generator.standard_normal(count))
    return np.array(paths).T


def drawn_forecast(
    steps: int, *, seed: int, paths: int = 200, quantiles: tuple[float, ...] = QUANTILES
) -> Forecast:
    """Return a forecast that knows the distribution of each step, and past errors."""
    generator = np.random.default_rng(seed)
    known = np.exp(futures(20_000, steps, np.random.default_rng(99)))
    values = np.quantile(known, quantiles, axis=0).T
    errors = futures(400, steps, generator)
    scenarios = draw(values, quantiles, errors, count=paths, generator=generator)
    return Forecast(0.0, STEP, quantiles, values, "test", 400, scenarios=scenarios)


@pytest.mark.parametrize(
    ("lead", "window", "highest"),
    [
        pytest.param(0.0, 60.0, [1.0, 2.0, 3.0], id="the first step"),
        pytest.param(60.0, 60.0, [2.0, 3.0, 4.0], id="the second"),
        pytest.param(0.0, 60.5, [2.0, 3.0, 4.0], id="a step that is cut counts whole"),
        pytest.param(59.0, 1.0, [1.0, 2.0, 3.0], id="within a step"),
        pytest.param(60.0, 0.0, [2.0, 3.0, 4.0], id="a moment"),
        pytest.param(120.0, 600.0, [3.0, 4.0, 9.0], id="beyond the horizon, what is left"),
        pytest.param(900.0, 60.0, [3.0, 4.0, 9.0], id="wholly beyond, the last step"),
    ],
)
def test_highest_looks_at_the_steps_of_the_window(
    lead: float, window: float, highest: list[float]
) -> None:
    told = forecast(RISING).highest(lead=lead, window=window)

    np.testing.assert_allclose(told.values, highest)
    assert (told.begins, told.ends) == (1000.0 + lead, 1000.0 + lead + window)


def test_highest_of_one_step_is_that_steps_forecast() -> None:
    made = drawn_forecast(5, seed=0)

    for step in range(5):
        told = made.highest(lead=step * STEP, window=STEP)
        np.testing.assert_allclose(told.values, made.values[step])


@settings(deadline=None, max_examples=30)
@given(
    steps=st.integers(2, 8),
    paths=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    zeros=st.booleans(),
)
def test_highest_rises_with_window_and_quantile_and_lies_above_every_step(
    steps: int, paths: int, seed: int, *, zeros: bool
) -> None:
    generator = np.random.default_rng(seed)
    values = np.sort(generator.gamma(0.5, 10.0, (steps, 3)), axis=1)
    if zeros:
        values[:, 0] = 0.0
    errors = generator.standard_normal((40, steps))
    scenarios = draw(values, (0.1, 0.5, 0.9), errors, count=paths, generator=generator)
    made = replace(forecast(RISING), values=values, scenarios=scenarios)

    before = np.zeros(3)
    for width in range(1, steps + 1):
        told = made.highest(lead=0.0, window=width * STEP).values
        assert (told >= before - 1e-6).all()
        assert (told >= values[:width].max(axis=0) - 1e-9).all()
        assert (np.diff(told) >= 0.0).all()
        before = told


def test_steps_that_are_high_together_are_no_higher_than_the_highest() -> None:
    values = np.array([[1.0, 2.0, 3.0]] * 4)
    together = np.repeat(np.linspace(0.0, 4.0, 50)[:, None], 4, axis=1)
    made = replace(forecast(RISING), values=values, scenarios=Scenarios(together))

    told = made.highest(lead=0.0, window=4 * STEP)

    np.testing.assert_allclose(told.values, [1.0, 2.0, 3.0], atol=0.1)


@pytest.mark.parametrize("paths", [200, 500])
@pytest.mark.parametrize("steps", [5, 15])
def test_highest_is_above_demand_as_often_as_it_says(steps: int, paths: int) -> None:
    highest = np.exp(futures(20_000, steps, np.random.default_rng(5))).max(axis=1)

    told = [
        drawn_forecast(steps, seed=seed, paths=paths).highest(lead=0.0, window=steps * STEP)
        for seed in range(8)
    ]

    def covered(quantile: float) -> float:
        return float(np.mean([np.mean(highest <= one.at(quantile)) for one in told]))

    assert covered(0.5) == pytest.approx(0.5, abs=0.03)
    assert covered(0.9) == pytest.approx(0.9, abs=0.015)
    assert covered(0.99) == pytest.approx(0.99, abs=0.004)
    assert covered(0.995) == pytest.approx(0.995, abs=0.003)


def test_quantiles_of_single_steps_would_be_too_low_for_the_highest() -> None:
    made = drawn_forecast(15, seed=0)
    highest = np.exp(futures(20_000, 15, np.random.default_rng(5))).max(axis=1)

    alone = replace(made, scenarios=None).highest(lead=0.0, window=15 * STEP)

    assert np.mean(highest <= alone.at(0.9)) < 0.7


@pytest.mark.parametrize("rate", [0.0, 1e200, float("inf")])
def test_however_high_demand_is_the_highest_is_no_lower(rate: float) -> None:
    values = np.array([[0.0, 1.0, rate]] * 3)
    scenarios = draw(
        values, (0.1, 0.5, 0.9), np.empty((0, 3)), count=20, generator=np.random.default_rng(0)
    )

    made = replace(forecast(RISING), values=values, scenarios=scenarios)

    assert made.highest(lead=0.0, window=3 * STEP).at(0.9) >= rate


def test_peak_is_the_highest_from_now_on() -> None:
    made = forecast(RISING)

    assert made.peak(0.9, until=1000.0 + 2 * STEP) == pytest.approx(4.0)
    assert made.peak(0.9, until=0.0) == pytest.approx(3.0)


def test_times_are_the_ends_of_the_steps() -> None:
    np.testing.assert_allclose(forecast(RISING).times, [1060.0, 1120.0, 1180.0])


def test_between_quantiles_demand_is_interpolated() -> None:
    np.testing.assert_allclose(forecast(RISING).at_quantile(0.7), [2.5, 3.5, 6.5])


def test_any_doubt_speaks_against_scaling_down() -> None:
    made = forecast(RISING)

    assert made.may_scale_down
    assert not replace(made, doubts=(Doubt.GAPS,)).may_scale_down


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"values": np.ones((2, 2))}, r"shape \(steps, 3\)", id="a column too few"),
        pytest.param({"quantiles": (0.5, 0.1, 0.9)}, "rising quantiles", id="falling quantiles"),
        pytest.param(
            {"scenarios": Scenarios(np.ones((4, 2)))}, "scenarios of 3 steps", id="other steps"
        ),
    ],
)
def test_a_forecast_that_does_not_fit_together_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(forecast(RISING), **changes)
