import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.describing.traits import measure
from telemetry.series import Series, Window


def demand(rates: list[float]) -> Demand:
    return Demand("m", Series({}, Window(60.0, 60.0 * len(rates), 60.0), np.array(rates, float)))


def test_mean_and_variation_leave_gaps_out() -> None:
    found = measure(demand([1, 3, np.nan, 1, 3]))

    assert (found.mean, found.variation) == (2, 0.5)
    assert found.days == pytest.approx(5 / 1440)
    assert found.gaps.share == 0.2


def test_demand_of_which_nothing_is_known_has_no_mean() -> None:
    found = measure(demand([np.nan, np.nan]))

    assert np.isnan([found.mean, found.variation, found.zeros]).all()
    assert found.trend is None


def test_demand_that_is_always_zero_has_no_variation() -> None:
    found = measure(demand([0.0, 0.0, 0.0]))

    assert (found.mean, found.zeros) == (0, 1)
    assert np.isnan(found.variation)


def test_tenants_are_measured_where_they_are_known() -> None:
    assert measure(demand([2, 2])).tenants is None
    assert measure(demand([2, 2]), tenants={"a": np.ones(2)}).tenants.share == 0.5
