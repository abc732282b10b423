"""How demand is spread over its tenants: one that is large enough rules the whole."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forecaster.demand.demand import Demand
from forecaster.history import Floats

_LARGE = 1.0 / 3.0  # from here on a tenant is worth a forecast of its own


@dataclass(frozen=True, slots=True)
class Concentration:
    """How much of demand the largest tenant is."""

    tenants: int  # that are told apart
    largest: str
    share: float  # of all demand
    effective: float  # equally large tenants that would concentrate demand as much

    @property
    def has_large(self) -> bool:
        """Whether the largest tenant is worth a forecast of its own."""
        return self.share > _LARGE


def concentration(demand: Demand, tenants: Mapping[str, Floats]) -> Concentration | None:
    """Measure it from the rate of each tenant on the demand's grid; None where nothing was asked.

    What no tenant is named for counts as asked by many small ones.
    """
    rates = demand.rate.values
    for name, rate in tenants.items():
        if rate.shape != rates.shape:
            raise ValueError(f"expected {rates.size} values of {name}, got shape {rate.shape}")
    known = np.isfinite(rates)
    total = float(rates[known].sum())
    if not tenants or total <= 0:
        return None
    shares = {name: float(np.nansum(rate[known])) / total for name, rate in tenants.items()}
    largest = max(shares, key=lambda name: shares[name])
    squares = sum(share**2 for share in shares.values())
    effective = 1.0 / squares if squares > 0 else float("inf")
    return Concentration(len(shares), largest, shares[largest], effective)
