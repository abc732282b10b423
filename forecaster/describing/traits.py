"""The traits of a demand: what can be measured of it before anything is forecast."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forecaster.condition.condition import Finding
from forecaster.demand.demand import Demand
from forecaster.describing.predictability import Predictability
from forecaster.describing.seasonality import Seasonality, seasonality
from forecaster.describing.tenants import Concentration, concentration
from forecaster.describing.trend import Trend, trend
from forecaster.describing.variation import Burstiness, Gaps, burstiness, gaps, share_of_zeros
from forecaster.history import Floats


@dataclass(frozen=True, slots=True)
class Traits:
    """What was measured of a demand; NaN or None where it cannot be told."""

    name: str
    unit: str
    step: float  # seconds
    days: float
    mean: float
    variation: float  # standard deviation over the mean
    zeros: float  # share of the known steps
    gaps: Gaps
    seasonality: Seasonality
    trend: Trend | None
    burstiness: Burstiness
    findings: tuple[Finding, ...] = ()
    tenants: Concentration | None = None
    predictability: Predictability | None = None


def measure(
    demand: Demand,
    *,
    tenants: Mapping[str, Floats] | None = None,
    findings: tuple[Finding, ...] = (),
    predictability: Predictability | None = None,
) -> Traits:
    """Measure the traits of a demand, and of the rates of its tenants where they are known."""
    rates = demand.rate.values[np.isfinite(demand.rate.values)]
    mean = float(rates.mean()) if rates.size else float("nan")
    return Traits(
        name=demand.name,
        unit=demand.unit,
        step=demand.step,
        days=demand.size * demand.step / 86400.0,
        mean=mean,
        variation=float(rates.std()) / mean if mean > 0 else float("nan"),
        zeros=share_of_zeros(demand),
        gaps=gaps(demand),
        seasonality=seasonality(demand),
        trend=trend(demand),
        burstiness=burstiness(demand),
        findings=findings,
        tenants=concentration(demand, tenants) if tenants else None,
        predictability=predictability,
    )
