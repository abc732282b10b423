import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.scoring.reactive import PEERS, Family, Rule, static, tune
from forecaster.scoring.warm_pool import Pool, Replay, bill, replay
from telemetry.series import Series, Window


def played(values: np.ndarray, *, lead: float = 60.0) -> Replay:
    demand = Demand("m", Series({}, Window(60.0, 60.0 * values.size, 60.0), values))
    return replay(demand, Pool(10.0, lead=lead, every=300.0), first=10)


def noisy(level: float, spread: float, *, seed: int = 0) -> Replay:
    return played(np.maximum(np.random.default_rng(seed).normal(level, spread, 2000), 0.0))


def test_a_rule_looks_at_the_minutes_up_to_its_decision() -> None:
    laid = played(np.arange(30.0) * 10)

    assert Rule(3, 1.0).replicas(laid)[0] == 9  # steps 8, 9 and 10
    assert Rule(0, 1.2).replicas(laid)[0] == 12
    assert Rule(3, 1.0, 2).replicas(laid)[0] == 11


def test_a_rule_does_not_see_what_comes() -> None:
    values = np.random.default_rng(0).random(200) * 100
    poisoned = values.copy()
    poisoned[101:] = 1e6
    seen = played(values).origins <= 100

    for rule in PEERS.values():
        before, after = rule.replicas(played(values)), rule.replicas(played(poisoned))
        np.testing.assert_array_equal(before[seen], after[seen])


def test_gaps_are_left_out_of_a_mean_and_a_gap_throughout_changes_nothing() -> None:
    values = np.full(40, 30.0)
    values[9] = np.nan
    values[13:16] = np.nan

    assert Rule(3, 1.0).replicas(played(values)).tolist() == [3] * 5


def test_the_named_peers_are_what_they_say() -> None:
    laid = played(np.full(40, 70.0))

    replicas = {name: rule.replicas(laid)[0] for name, rule in PEERS.items()}

    assert replicas == {
        "HPA-like, 5-min mean / 0.7": 10,
        "last value + 20 %": 9,
        "Dynamo constant, 3-min": 7,
    }
    assert set(static(laid)) == {20}


def test_a_rule_is_named_by_what_it_does() -> None:
    assert Rule(15, 1.7, 2).name == "mean of 15 min x 1.7 + 2"
    assert Rule(5, 1 / 0.7).name == "mean of 5 min x 1.43"


def test_hindsight_chooses_one_rule_for_all_and_one_for_each() -> None:
    replays = [noisy(50, 3), noisy(80, 40, seed=1)]

    found = tune(replays, 10)

    for at, laid in enumerate(replays):
        assert found.each_costs[at] == bill(found.each[at].replicas(laid), laid).cost(10)
        assert found.single_costs[at] == bill(found.single.replicas(laid), laid).cost(10)
        assert found.each_costs[at] <= found.single_costs[at]


def test_hindsight_is_at_least_as_cheap_as_each_rule_of_its_family() -> None:
    laid = noisy(60, 20)
    family = Family(minutes=(1.0, 15.0), factors=(1.0, 1.5), spares=(0.0, 2.0))

    found = tune([laid], 10, family=family)

    costs = [bill(rule.replicas(laid), laid).cost(10) for rule in family.rules]
    assert found.each_costs[0] == found.single_costs[0] == pytest.approx(min(costs))


def test_a_demand_without_cost_does_not_break_the_geometric_mean() -> None:
    calm = played(np.full(100, 10.0))

    found = tune([calm, noisy(60, 20)], 10)

    assert found.each_costs[0] == 0
    assert np.isfinite(found.single_costs).all()
