import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alerts.anomaly.scorers import (
    ScorerSettings,
    Scores,
    persisting,
    poisson_floor,
    relative_floor,
    score,
    trailing_median,
)

GAP = np.nan
STEP = 60.0
SETTINGS = ScorerSettings()


def judged(actual: np.ndarray, expected: float | np.ndarray = 10.0) -> Scores:
    return score(
        actual,
        np.broadcast_to(expected, actual.shape).astype(float),
        floor=poisson_floor(STEP),
        settings=SETTINGS,
    )


def quiet(points: int, *, rate: float = 10.0, seed: int = 1) -> np.ndarray:
    """Demand that is nothing but the noise of counts, in requests/s."""
    return np.random.default_rng(seed).poisson(rate * STEP, points) / STEP


def test_quiet_noise_raises_hardly_an_alarm() -> None:
    active = judged(quiet(5000)).active

    assert active.mean() < 0.001


def test_noise_that_is_wider_than_counts_raises_hardly_an_alarm() -> None:
    rough = quiet(5000) * np.exp(np.random.default_rng(2).normal(0, 0.3, 5000))

    assert judged(rough).active.mean() < 0.005


@pytest.mark.parametrize("factor", [pytest.param(0.5, id="halved"), pytest.param(3, id="tripled")])
def test_a_changed_demand_is_abnormal_once_it_persists(factor: float) -> None:
    demand = quiet(100)
    demand[80:] *= factor
    active = judged(demand).active

    assert not active[:82].any()
    assert active[82:].all()


@pytest.mark.parametrize("factor", [pytest.param(0.5, id="halved"), pytest.param(3, id="tripled")])
def test_a_forecast_that_learns_the_change_at_once_does_not_hide_it(factor: float) -> None:
    demand = quiet(120)
    demand[80:] *= factor
    scores = judged(demand, np.concatenate([demand[:1], demand[:-1]]))

    assert scores.active[82]
    assert scores.expected[84] == scores.expected[80]
    assert not scores.active[90:].any()


def test_a_single_spike_is_not_enough() -> None:
    demand = quiet(100)
    demand[80] *= 5
    scores = judged(demand)

    assert scores.score[80] > SETTINGS.threshold
    assert not scores.active.any()


def test_a_signal_that_returns_is_released_as_it_was_raised() -> None:
    demand = quiet(100)
    demand[80:90] *= 3
    active = judged(demand).active

    assert active[82:92].all()
    assert not active[92:].any()


def test_what_is_missing_is_neither_normal_nor_abnormal() -> None:
    demand = quiet(100)
    demand[80:] = GAP
    scores = judged(demand)

    assert np.isnan(scores.score[80:]).all()
    assert np.isnan(scores.low[80:]).all()
    assert not scores.active[80:].any()


def test_a_gap_inside_an_anomaly_does_not_end_it() -> None:
    demand = quiet(100)
    demand[80:] *= 3
    demand[85:90] = GAP
    active = judged(demand).active

    assert not active[85:90].any()
    assert active[90:].all()


def test_a_gap_in_the_expectation_is_a_gap() -> None:
    expected = np.full(100, 10.0)
    expected[80:] = GAP

    assert np.isnan(judged(quiet(100), expected).score[80:]).all()


def test_with_too_few_known_points_nothing_is_scored() -> None:
    scores = judged(quiet(100))

    assert np.isnan(scores.score[: SETTINGS.least]).all()
    assert np.isfinite(scores.score[SETTINGS.least :]).all()


def test_a_flat_signal_has_the_noise_of_counts() -> None:
    scores = judged(np.full(100, 10.0))

    assert scores.score[-1] == 0.0
    # 600 requests a step have a deviation of 24.5, which is 0.41 requests/s; four of them.
    assert scores.high[-1] == pytest.approx(10 + 4 * 0.41, abs=0.1)
    assert scores.low[-1] == pytest.approx(10 - 4 * 0.41, abs=0.1)


def test_an_expectation_that_is_always_off_is_a_wide_band_not_an_alarm() -> None:
    assert not judged(quiet(200, rate=14.0)).active.any()


@given(
    actual=arrays(float, 40, elements=st.floats(0, 1e6) | st.just(GAP)),
    expected=arrays(float, 40, elements=st.floats(0, 1e6) | st.just(GAP)),
)
def test_the_band_holds_what_was_expected_and_agrees_with_the_score(
    actual: np.ndarray, expected: np.ndarray
) -> None:
    scores = judged(actual, expected)
    known = np.isfinite(scores.score)

    assert (scores.low[known] <= scores.expected[known] * (1 + 1e-9)).all()
    assert (scores.high[known] >= scores.expected[known] * (1 - 1e-9)).all()
    assert (scores.low[known] >= 0).all()
    above = scores.score[known] > SETTINGS.threshold * (1 + 1e-9)
    assert (actual[known][above] > scores.high[known][above]).all()
    assert not scores.active[~known].any()


@pytest.mark.parametrize(
    ("beyond", "active"),
    [
        pytest.param("..xxx...", "....xxx.", id="three in a row raise, three release"),
        pytest.param("..xx.....", ".........", id="two do not"),
        pytest.param(".x.x.x..", ".....x..", id="three of five"),
        pytest.param("xx??x...", "....xxx.", id="gaps do not vote"),
    ],
)
def test_it_turns_by_majority_both_ways(beyond: str, active: str) -> None:
    marks = {".": 0.0, "x": -9.0, "?": GAP}
    found = persisting(np.array([marks[mark] for mark in beyond]), SETTINGS)

    assert "".join("x" if flag else "." for flag in found) == active


def test_the_trailing_median_is_of_the_points_before() -> None:
    settings = ScorerSettings(window=3, least=2)

    np.testing.assert_array_equal(
        trailing_median(np.array([1.0, 5, 2, GAP, 9, 9]), settings), [GAP, GAP, 3, 2, 3.5, 5.5]
    )


def test_a_relative_floor_is_that_share_of_the_value() -> None:
    deviation = relative_floor(np.array([4.0]), 0.1)[0]

    assert (2.0 + deviation) ** 2 == pytest.approx(4.4, rel=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"least": 0}, id="nothing known"),
        pytest.param({"window": 5, "least": 6}, id="more known than there are"),
        pytest.param({"threshold": 0.0}, id="no threshold"),
        pytest.param({"persist": 2, "among": 5}, id="both ways at once"),
        pytest.param({"persist": 6, "among": 5}, id="never"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ScorerSettings(**wrong)
