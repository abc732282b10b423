from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecaster import roster
from forecaster.history import History
from forecaster.models.boosting import NEEDED, BoostedQuantiles
from forecaster.models.extras import installed
from forecaster.models.foundation import Echo, Foundation
from forecaster.models.model import PATH, Fitted, Floats, Indices, Model

SEASON, STEP = 288, 300.0
SIZE = 9 * SEASON + 7
HORIZONS = np.array([1, 2, 3, 6, 12])
ORIGINS = np.array([SIZE - 90, SIZE - 60, SIZE - 37, SIZE - 3, SIZE - 1])

MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        *roster.every(),
        Foundation(Echo(SEASON), most_origins=3),
    )
}
if installed(NEEDED):
    MODELS["boosted quantiles"] = BoostedQuantiles(trees=6, quantiles=(0.1, 0.5, 0.9, 0.99))

# Nothing of their answers was learnt from anything after the origin.
LEARNING_NOTHING = {
    "last value", "mean of 5 min", "mean of 15 min", "mean of 60 min", "daily profile",
    "weekly profile", "seasonal naive", "echo",
}  # fmt: skip
SLOW = {"arima", "boosted quantiles"}


@pytest.fixture(params=sorted(MODELS), ids=lambda name: str(name).replace(" ", "-"))
def model(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param]


def history_of(rates: Floats, *, season: int = SEASON) -> History:
    return History.of_rates(rates, step=STEP, season=season, end=STEP * (10_000 + rates.size))


def usual_rates() -> Floats:
    draws = np.random.default_rng(7)
    usual = 60.0 + 30.0 * np.sin(2 * np.pi * np.arange(SIZE) / SEASON)
    return draws.poisson(usual).astype(np.float64)


@cache
def usual_fit(name: str) -> Fitted:
    return MODELS[name].fit(history_of(usual_rates()))


def usual_paths(model: Model, origins: Indices = ORIGINS) -> Floats:
    if not model.can_fit(history_of(usual_rates())):
        pytest.skip("needs a finer step")
    return usual_fit(model.name).paths(origins, HORIZONS)


def paths(model: Model, history: History) -> Floats:
    if not model.can_fit(history):
        pytest.skip("needs a finer step")
    return model.fit(history).paths(ORIGINS, HORIZONS)


def test_there_is_a_path_for_each_origin_horizon_and_level(model: Model) -> None:
    told = usual_paths(model)
    levels = usual_fit(model.name).levels

    assert told.shape == (ORIGINS.size, HORIZONS.size, len(levels))
    assert levels == PATH or list(levels) == sorted(set(levels))


def test_what_is_expected_is_near_what_has_been_seen(model: Model) -> None:
    expected = usual_paths(model)
    rates = usual_rates()

    assert np.isfinite(expected).all()
    assert expected.min() >= 0.0
    assert expected.max() <= 1.5 * np.sqrt(rates.max())


def test_levels_do_not_cross(model: Model) -> None:
    assert (np.diff(usual_paths(model), axis=-1) >= 0.0).all()


def test_the_order_in_which_origins_are_asked_changes_nothing(model: Model) -> None:
    shuffled = np.array([3, 0, 4, 2, 1])

    told = usual_paths(model, ORIGINS[shuffled])

    np.testing.assert_allclose(told, usual_paths(model)[shuffled], rtol=1e-9)


def test_what_comes_after_an_origin_does_not_show_in_its_answer(model: Model) -> None:
    origins, poisoned = ORIGINS[:2], usual_rates()
    poisoned[origins[-1] + 1 :] *= 25.0
    before = usual_paths(model, origins)

    reused, history = usual_fit(model.name), history_of(poisoned)
    can_be_reused = hasattr(reused, "at")
    fitted = reused.at(history) if can_be_reused else model.fit(history)
    after = fitted.paths(origins, HORIZONS)

    if can_be_reused or model.name in LEARNING_NOTHING:
        np.testing.assert_allclose(after, before, rtol=1e-9)
    else:  # what was learnt differs; a peep would show as five times the root
        assert np.abs(after / before - 1.0).max() < 0.6


def test_gaps_are_not_read_as_zero(model: Model) -> None:
    rates = usual_rates()
    rates[np.random.default_rng(3).random(SIZE) < 0.2] = np.nan
    rates[SIZE - 50 : SIZE - 44] = np.nan
    rates[SIZE - 6 :] = np.nan

    told = paths(model, history_of(rates))
    middle = told[..., told.shape[-1] // 2]

    assert np.isfinite(told).all()
    assert middle.min() > 0.5 * np.sqrt(np.nanmin(usual_rates()))


def test_what_never_changes_is_expected_to_stay(model: Model) -> None:
    told = paths(model, history_of(np.full(SIZE, 9.0)))

    np.testing.assert_allclose(told, 3.0, rtol=1e-6)


def test_no_demand_at_all_is_expected_to_stay(model: Model) -> None:
    np.testing.assert_allclose(paths(model, history_of(np.zeros(SIZE))), 0.0, atol=1e-9)


def test_a_hundred_times_the_rate_is_ten_times_the_root(model: Model) -> None:
    told = paths(model, history_of(100.0 * usual_rates()))

    np.testing.assert_allclose(told, 10.0 * usual_paths(model), rtol=0.02)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 31, SEASON, SEASON + 1, 3 * SEASON])
def test_a_short_history_is_declined_or_answered(model: Model, size: int) -> None:
    history = history_of(usual_rates()[:size])
    if model.can_fit(history):
        told = model.fit(history).paths(np.array([size - 1]), HORIZONS)

        assert np.isfinite(told).all()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rates=arrays(
        np.float64,
        st.integers(1, 120),
        elements=st.one_of(st.just(np.nan), st.just(0.0), st.floats(0.0, 1e6)),
        fill=st.just(50.0),
    )
)
@pytest.mark.parametrize("name", sorted(set(MODELS) - SLOW))
def test_any_history_is_answered_with_numbers(name: str, rates: Floats) -> None:
    if not np.isfinite(rates).any():
        return
    rates = rates[int(np.argmax(np.isfinite(rates))) :]
    history, model = history_of(rates, season=12), MODELS[name]
    if model.can_fit(history):
        told = model.fit(history).paths(np.array([rates.size - 1]), HORIZONS)

        assert np.isfinite(told).all()
        assert told.min() >= 0.0
