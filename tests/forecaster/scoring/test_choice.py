import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.scoring.choice import choose
from forecaster.scoring.outlook import Outlook
from forecaster.scoring.warm_pool import Need, Pool, Replay, replay
from telemetry.series import Series, Window

LEVELS = (0.5, 0.99)


def played() -> Replay:
    values = 100 + 20 * np.random.default_rng(0).random(3000)
    demand = Demand("m", Series({}, Window(60.0, 60.0 * values.size, 60.0), values))
    return replay(demand, Pool(5.0), first=10)


def outlook(laid: Replay, off: float, *, noise: float = 0.0, seed: int = 0) -> Outlook:
    """Know the highest of each window, off by a share."""
    luck = 1 + noise * np.random.default_rng(seed).normal(size=laid.origins.size)
    highest = laid.asked.max(axis=1) * (1 + off) * luck
    return Outlook(LEVELS, np.stack([highest, highest], axis=1))


def chosen(outlooks: dict[str, Outlook], laid: Replay, **options: str | Need) -> object:
    return choose(outlooks, laid, 10, np.random.default_rng(0), **options)


def test_the_one_with_which_the_pool_pays_least_is_chosen() -> None:
    laid = played()

    found = chosen({"low": outlook(laid, -0.2), "right": outlook(laid, 0.0)}, laid)

    assert found.name == "right"
    assert [one.name for one in found.paid] == ["right", "low"]
    assert found.paid[0].over_foresight == pytest.approx(1, abs=0.1)
    assert found.paid[1].over_chosen.low > 1
    assert found.is_certain


def test_too_few_replicas_cost_more_than_too_many() -> None:
    laid = played()

    found = chosen({"low": outlook(laid, -0.2), "high": outlook(laid, 0.2)}, laid)

    assert found.name == "high"


def test_the_incumbent_stays_where_the_cheapest_is_cheaper_by_noise() -> None:
    laid = played()
    twins = {
        name: outlook(laid, 0.05, noise=0.05, seed=seed)
        for seed, name in enumerate(("old", "new"))
    }

    first = chosen(twins, laid)
    kept = chosen(twins, laid, incumbent="old" if first.name == "new" else "new")

    assert kept.name != first.name
    assert not kept.is_certain


def test_the_incumbent_goes_where_another_is_surely_cheaper() -> None:
    laid = played()
    outlooks = {"low": outlook(laid, -0.2), "right": outlook(laid, 0.0)}

    assert chosen(outlooks, laid, incumbent="low").name == "right"
    assert chosen(outlooks, laid, incumbent="gone").name == "right"


def test_foresight_that_costs_nothing_is_no_measure() -> None:
    laid = played()

    found = chosen({"right": outlook(laid, 0.0)}, laid, need=Need.HIGHEST_MINUTE)

    assert found.paid[0].cost == 0
    assert np.isnan(found.paid[0].over_foresight)


def test_there_must_be_one_to_choose() -> None:
    with pytest.raises(ValueError, match="at least one forecaster"):
        chosen({}, played())
