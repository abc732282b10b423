import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.describing.tenants import concentration
from telemetry.series import Series, Window


def demand(rates: list[float]) -> Demand:
    return Demand("m", Series({}, Window(60.0, 60.0 * len(rates), 60.0), np.array(rates, float)))


def test_the_largest_tenant_is_told_with_its_share_of_all_demand() -> None:
    found = concentration(
        demand([10, 10, 10]), {"a": np.array([1.0, 1, 1]), "b": np.array([5.0, 5, np.nan])}
    )

    assert (found.tenants, found.largest, found.share) == (2, "b", pytest.approx(1 / 3))
    assert not found.has_large


def test_more_than_a_third_is_large() -> None:
    assert concentration(demand([10, 10]), {"a": np.array([4.0, 3])}).has_large


def test_equal_tenants_are_as_many_as_they_are() -> None:
    quarter = np.array([1.0, 1.0])

    found = concentration(demand([4, 4]), dict.fromkeys("abcd", quarter))

    assert found.effective == pytest.approx(4)


def test_where_demand_is_unknown_tenants_do_not_count() -> None:
    found = concentration(demand([10, np.nan]), {"a": np.array([1.0, 1000.0])})

    assert found.share == pytest.approx(0.1)


def test_without_demand_or_tenants_there_is_no_concentration() -> None:
    assert concentration(demand([0, np.nan]), {"a": np.array([0.0, 1.0])}) is None
    assert concentration(demand([1, 1]), {}) is None


def test_tenants_off_the_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 2 values of a, got shape"):
        concentration(demand([1, 1]), {"a": np.ones(3)})
