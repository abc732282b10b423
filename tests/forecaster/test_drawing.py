"""Drawing: each step's distribution exactly, and steps that depend as past errors did."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecaster.combination.asking import Past
from forecaster.drawing import LEAST_ROWS, PERSISTENCE, Lengths, draw, step_errors
from forecaster.history import History
from forecaster.margins import Margins

QUANTILES = (0.1, 0.5, 0.9, 0.99)
STEPS = 6
VALUES = np.array([[5.0, 10.0, 20.0 + step, 40.0 + step] for step in range(STEPS)])
NO_ERRORS = np.empty((0, STEPS))


def autoregressive(rows: int, *, keeps: float, seed: int = 0) -> np.ndarray:
    """Return rows of errors that keep this much of themselves from step to step."""
    fresh = np.random.default_rng(seed).standard_normal((rows, STEPS))
    errors = fresh.copy()
    for step in range(1, STEPS):
        errors[:, step] = keeps * errors[:, step - 1] + np.sqrt(1 - keeps**2) * fresh[:, step]
    return errors


def rank_correlation(paths: np.ndarray, one: int, other: int) -> float:
    ranks = np.argsort(np.argsort(paths, axis=0), axis=0)
    return float(np.corrcoef(ranks[:, one], ranks[:, other])[0, 1])


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(0, 80),
    count=st.integers(1, 60),
    gaps=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_step_has_exactly_the_distribution_forecast(
    rows: int, count: int, gaps: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    errors = generator.standard_normal((rows, STEPS))
    errors[generator.random(errors.shape) < gaps] = np.nan

    drawn = draw(VALUES, QUANTILES, errors, count=count, generator=generator)

    spread = Margins.through(QUANTILES, VALUES).at((np.arange(count) + 0.5) / count)
    np.testing.assert_allclose(np.sort(drawn.rate, axis=0), spread.T)


@pytest.mark.parametrize("keeps", [-0.5, 0.0, 0.5, 0.95])
@pytest.mark.parametrize("rows", [100, 1000], ids=["fewer rows than paths", "more rows"])
def test_neighbouring_steps_depend_as_in_the_past(keeps: float, rows: int) -> None:
    errors = autoregressive(rows, keeps=keeps)

    drawn = draw(VALUES, QUANTILES, errors, count=400, generator=np.random.default_rng(1))

    for step in range(1, STEPS):
        assert rank_correlation(drawn.rate, step - 1, step) == pytest.approx(
            rank_correlation(errors, step - 1, step), abs=0.08
        )


@pytest.mark.parametrize(
    ("rows", "correlation"),
    [
        pytest.param(LEAST_ROWS - 1, PERSISTENCE, id="too few past forecasts"),
        pytest.param(LEAST_ROWS, -1.0, id="enough"),
    ],
)
def test_demand_persists_where_the_past_says_too_little(rows: int, correlation: float) -> None:
    errors = np.arange(rows)[:, None] * np.array([1.0, -1.0] * (STEPS // 2))

    drawn = draw(VALUES, QUANTILES, errors, count=900, generator=np.random.default_rng(1))

    assert rank_correlation(drawn.rate, 0, 1) == pytest.approx(correlation, abs=0.05)
    assert (drawn.rows is None) == (rows < LEAST_ROWS)


def test_rows_with_gaps_are_followed_only_where_complete_ones_are_few() -> None:
    errors = autoregressive(2 * LEAST_ROWS, keeps=0.5)
    errors[:LEAST_ROWS, 2] = np.nan
    generator = np.random.default_rng(1)

    complete = draw(VALUES, QUANTILES, errors, count=200, generator=generator)
    errors[LEAST_ROWS, 2] = np.nan
    all_rows = draw(VALUES, QUANTILES, errors, count=200, generator=generator)

    assert complete.rows is not None
    assert all_rows.rows is not None
    assert set(complete.rows) == set(range(-LEAST_ROWS, 0))
    assert set(all_rows.rows) == set(range(-2 * LEAST_ROWS, 0))


def test_the_same_seed_draws_the_same_paths() -> None:
    errors = autoregressive(100, keeps=0.5)

    once, again = (
        draw(VALUES, QUANTILES, errors, count=50, generator=np.random.default_rng(7)).rate
        for _ in range(2)
    )

    np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize(
    ("count", "steps"), [(0, STEPS), (10, STEPS - 1)], ids=["no path", "a step too few"]
)
def test_what_cannot_be_drawn_is_refused(count: int, steps: int) -> None:
    with pytest.raises(ValueError, match="expected at least one path and errors of 6 steps"):
        draw(
            VALUES,
            QUANTILES,
            np.zeros((50, steps)),
            count=count,
            generator=np.random.default_rng(0),
        )


def with_lengths(past: np.ndarray, errors: np.ndarray, origins: np.ndarray) -> np.ndarray:
    drawn = draw(
        VALUES,
        QUANTILES,
        errors,
        count=200,
        generator=np.random.default_rng(0),
        lengths=Lengths(origins, output_tokens=past, recent=10),
    )
    assert drawn.input_tokens is None
    assert drawn.output_tokens is not None
    return drawn.output_tokens


def test_lengths_stay_at_their_recent_mean_where_they_always_did() -> None:
    past = np.concatenate([np.full(500, 100.0), np.full(10, 300.0)])

    lengths = with_lengths(past, autoregressive(100, keeps=0.5), np.arange(100, 200))

    np.testing.assert_allclose(lengths, 300.0)


def test_lengths_are_long_with_the_demand_they_were_long_with() -> None:
    errors = autoregressive(100, keeps=0.9)
    past = np.full(100 * STEPS + 1, 100.0)
    past[1:] = 100.0 * np.exp(0.3 * errors.ravel())
    origins = np.arange(100) * STEPS

    drawn = draw(
        VALUES,
        QUANTILES,
        errors,
        count=100,
        generator=np.random.default_rng(0),
        lengths=Lengths(origins, input_tokens=past, recent=100 * STEPS),
    )

    assert drawn.input_tokens is not None
    together = np.stack([drawn.rate[:, 2], drawn.input_tokens[:, 2]], axis=1)
    assert rank_correlation(together, 0, 1) > 0.8


@pytest.mark.parametrize(
    "errors", [autoregressive(90, keeps=0.5), NO_ERRORS], ids=["rows", "none"]
)
@pytest.mark.parametrize(
    "past",
    [
        pytest.param(np.where(np.arange(100) % 3 == 0, np.nan, 50.0), id="gaps"),
        pytest.param(np.where(np.arange(100) < 95, np.nan, 50.0), id="known of late only"),
        pytest.param(np.where(np.arange(100) < 20, 50.0, np.nan), id="known once"),
        pytest.param(np.zeros(100), id="nothing but zeros"),
    ],
)
def test_lengths_are_always_known_and_above_zero(past: np.ndarray, errors: np.ndarray) -> None:
    lengths = with_lengths(past, errors, np.arange(len(errors)))

    assert (lengths >= 1.0).all()


def test_lengths_that_were_never_known_are_not_made_up() -> None:
    drawn = draw(
        VALUES,
        QUANTILES,
        NO_ERRORS,
        count=10,
        generator=np.random.default_rng(0),
        lengths=Lengths(np.arange(3), input_tokens=np.full(9, np.nan)),
    )

    assert drawn.input_tokens is None
    assert drawn.output_tokens is None


def test_errors_are_each_steps_own_though_the_path_is_interpolated() -> None:
    history = History(np.array([1.0, 2.0, 5.0, 4.0, np.nan]), 60.0, 10)
    origins, horizons = np.array([0, 1]), np.array([1, 3])
    past = Past(origins, horizons, history.after(origins, horizons), np.ones(2))

    errors = step_errors(
        history, past, np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([1.0, 2.0]), first=2
    )

    np.testing.assert_allclose(errors, [[3.0, 1.0], [1.0, np.nan]])


@pytest.mark.parametrize(("first", "tokens"), [(1, 200.0), (3, 50.0)])
def test_lengths_follow_the_same_steps_as_the_errors(first: int, tokens: float) -> None:
    past = np.full(400, 100.0)
    origins = np.arange(40) * 10
    past[origins + 1], past[origins + 3] = 200.0, 50.0

    drawn = draw(
        VALUES,
        QUANTILES,
        autoregressive(40, keeps=0.5),
        count=40,
        generator=np.random.default_rng(0),
        lengths=Lengths(origins, input_tokens=past, recent=10, first=first),
    )

    assert drawn.input_tokens is not None
    np.testing.assert_allclose(drawn.input_tokens[1:, 0], tokens, rtol=0.06)
