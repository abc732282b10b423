"""Who counts how much."""

import numpy as np
import pytest

from forecaster.combination.asking import Past, ask
from forecaster.combination.weights import buckets, losses, weigh
from forecaster.history import History
from forecaster.models.levels import LastValue, MovingAverage

GAP = np.nan


def test_who_loses_less_counts_more() -> None:
    weights = weigh(np.array([[1.0], [1.1], [2.0]]), [0], matured=1e6)[:, 0]

    assert weights[0] > weights[1] > weights[2]
    assert weights.sum() == pytest.approx(1.0)
    assert weights[1] / weights[0] == pytest.approx(np.exp(-1.2), rel=1e-3)


def test_few_errors_convince_little() -> None:
    lost = np.array([[1.0], [1.5]])

    few, many = (weigh(lost, [0], matured=matured)[0, 0] for matured in (1.0, 1e6))

    assert 0.5 < few < 0.55 < many


def test_horizons_of_a_bucket_share_their_weights() -> None:
    weights = weigh(np.array([[1.0, 3.0, 1.0], [3.0, 1.0, 2.0]]), [0, 0, 2], matured=1e6)

    assert weights[0, 0] == weights[0, 1] == pytest.approx(0.5)
    assert weights[0, 2] > 0.9


def test_who_was_never_seen_counts_nothing_beside_who_was() -> None:
    assert weigh(np.array([[GAP], [1.0]]), [0], matured=10.0)[:, 0].tolist() == [0.0, 1.0]


def test_where_nothing_is_known_all_count_the_same() -> None:
    assert weigh(np.full((4, 1), GAP), [0], matured=0.0)[:, 0].tolist() == [0.25] * 4


@pytest.mark.parametrize(
    ("minutes", "bucket"),
    [(5.0, 0), (6.0, 1), (15.0, 1), (16.0, 2), (600.0, 2)],
)
def test_buckets_end_at_5_15_and_60_minutes(minutes: float, bucket: int) -> None:
    assert buckets(np.array([minutes])) == [bucket]


def test_in_noise_the_mean_loses_less_than_the_last_value() -> None:
    history = History(np.random.default_rng(0).normal(10, 1, 900), 600.0, 144)
    past = Past.of(history, first=1, last=6)
    answers = ask([LastValue(), MovingAverage(120)], history, past)

    last, mean = losses(answers, past, np.ones(past.actual.shape)).mean(axis=1)

    assert mean < 0.85 * last


def test_weights_do_not_move_while_demand_is_unknown() -> None:
    values = np.random.default_rng(0).normal(10, 1, 900)
    models = [LastValue(), MovingAverage(120)]

    def weights(history: History) -> np.ndarray:
        past = Past.of(history, first=1, last=6)
        lost = losses(ask(models, history, past), past, np.ones(past.actual.shape))
        return weigh(lost, buckets(history.minutes(past.horizons)), matured=500.0)

    silent = np.concatenate([values, np.full(30, GAP), [10.0]])

    before, after = weights(History(values, 600.0, 144)), weights(History(silent, 600.0, 144))
    np.testing.assert_allclose(after, before, atol=0.03)
