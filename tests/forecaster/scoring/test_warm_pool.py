import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.demand.demand import Demand
from forecaster.scoring.warm_pool import (
    Need,
    Pool,
    Replay,
    bill,
    cost,
    decision_level,
    foresight,
    held,
    replay,
)
from telemetry.series import Series, Window

POOL = Pool(capacity=10.0, lead=120.0, every=180.0)


def played(values: list[float] | np.ndarray, *, pool: Pool = POOL, first: int = 0) -> Replay:
    rates = np.array(values, float)
    window = Window(60.0, 60.0 * rates.size, 60.0)
    return replay(Demand("m", Series({}, window, rates)), pool, first=first)


def test_a_pool_is_sized_so_that_twenty_replicas_serve_the_training_p99() -> None:
    training = np.append(np.linspace(0, 1000, 1001), np.nan)

    assert Pool.sized(training).capacity == pytest.approx(990 / 20)


@pytest.mark.parametrize(
    ("rate", "replicas"), [(0.0, 0), (0.1, 1), (10.0, 1), (10.1, 2), (30.000000001, 3)]
)
def test_part_of_a_replica_is_a_whole_one(rate: float, replicas: int) -> None:
    assert POOL.replicas(np.array([rate])) == [replicas]


@pytest.mark.parametrize(
    ("capacity", "lead", "every"), [(0.0, 60, 60), (np.nan, 60, 60), (1, -1, 60), (1, 60, 0)]
)
def test_a_pool_that_cannot_be_is_refused(capacity: float, lead: float, every: float) -> None:
    with pytest.raises(ValueError, match="expected a capacity above 0"):
        Pool(capacity, lead, every)


def test_a_decision_is_billed_for_the_window_after_its_lead() -> None:
    laid = played(np.arange(12), first=1)

    assert laid.origins.tolist() == [1, 4]
    assert laid.asked.tolist() == [[4, 5, 6], [7, 8, 9]]


def test_the_windows_are_those_of_the_forecast_where_steps_are_long() -> None:
    window = Window(600.0, 6000.0, 600.0)
    ten_minutes = Demand("m", Series({}, window, np.arange(10.0)))

    near = replay(ten_minutes, Pool(1.0, lead=300.0), first=0)
    far = replay(ten_minutes, Pool(1.0, lead=900.0), first=0)

    assert near.asked[0].tolist() == [1]
    assert far.asked[0].tolist() == [2]


def test_each_minute_needs_its_own_and_the_highest_minute_all_window_long() -> None:
    laid = played([0, 0, 0, 5, 25, np.nan])

    np.testing.assert_array_equal(laid.needed(), [[1, 3, np.nan]])
    np.testing.assert_array_equal(laid.needed(Need.HIGHEST_MINUTE), [[3, 3, np.nan]])


def test_the_bill_charges_what_idles_and_what_is_unmet() -> None:
    laid = played([0, 0, 0, 5, 25, 35])

    found = bill(np.array([2.0]), laid)

    assert (found.idle, found.unmet, found.needed) == (1.0, 3.0, 8.0)
    assert found.cost(10) == 31
    assert found.costs(10).tolist() == [31]
    assert found.hit_rate == pytest.approx(1 / 3)
    assert bill(np.array([2.0]), laid, Need.HIGHEST_MINUTE).cost(10) == 60


def test_a_replica_minute_is_a_minute_whatever_the_step() -> None:
    window = Window(600.0, 3000.0, 600.0)
    ten_minutes = Demand("m", Series({}, window, np.full(5, 5.0)))
    laid = replay(ten_minutes, Pool(10.0), first=0)

    assert bill(np.full(laid.origins.size, 2.0), laid).idle == 10.0 * laid.origins.size


def test_churn_counts_replicas_started_and_stopped() -> None:
    found = bill(np.array([1.0, 4.0, 2.0]), played(np.ones(12)))

    assert (found.changes, found.starts) == (5, 3)


def test_gaps_are_not_billed() -> None:
    found = bill(np.array([7.0]), played([0, 0, 0, np.nan, np.nan, np.nan]))

    assert (found.idle, found.unmet, found.needed) == (0, 0, 0)
    assert np.isnan(found.hit_rate)


def test_many_choices_are_billed_at_once() -> None:
    laid = played(np.random.default_rng(0).random(50) * 40)
    choices = np.random.default_rng(1).integers(0, 5, (3, 2, laid.origins.size)).astype(float)

    found = cost(choices, laid, 10)

    assert found.shape == (3, 2)
    assert found[1, 1] == pytest.approx(bill(choices[1, 1], laid).cost(10))


@given(
    rates=st.lists(st.one_of(st.floats(0, 100), st.just(float("nan"))), min_size=6, max_size=40),
    beta=st.sampled_from([0.5, 3.0, 10.0, 100.0]),
    need=st.sampled_from(Need),
    constant=st.integers(0, 12),
)
def test_nothing_costs_less_than_foresight(
    rates: list[float], beta: float, need: Need, constant: int
) -> None:
    laid = played(rates)
    other = np.full(laid.origins.size, float(constant))

    least = bill(foresight(laid, beta, need), laid, need).cost(beta)

    assert 0 <= least <= bill(other, laid, need).cost(beta) + 1e-9


def test_foresight_of_the_highest_minute_costs_nothing() -> None:
    laid = played(np.random.default_rng(0).random(50) * 40)

    chosen = foresight(laid, 10, Need.HIGHEST_MINUTE)

    assert bill(chosen, laid, Need.HIGHEST_MINUTE).cost(10) == 0


def test_the_level_to_decide_at_rises_with_what_a_miss_costs() -> None:
    assert [decision_level(beta) for beta in (1, 3, 9, 99)] == pytest.approx(
        [0.5, 0.75, 0.9, 0.99]
    )


def test_where_nothing_is_said_the_pool_stays_as_it_is() -> None:
    gap = np.nan

    assert held(np.array([gap, 3, gap, gap, 5])).tolist() == [20, 3, 3, 3, 5]
