"""The shadow: large tenants are forecast apart too, and their sum is used once it is better."""

from collections.abc import Callable, Sequence

import structlog

from forecaster.apart import Make, forecast_apart, large_parts
from forecaster.demand.demand import Demand
from forecaster.live.tenants import LARGE
from forecaster.live.tracking import Tracking, begin_tracking, losses, matured_count
from forecaster.pipeline import ForecastSettings, Outcome

_log = structlog.get_logger(__name__)

_BETTER = 0.98  # times the other's loss: less is no reason to change
_LEAST_MATURED = 100
_LEAST_BLOCKS = 6  # a quarter of a season

Parts = Callable[[Demand], Sequence[Demand]]


class Shadow:
    """Makes the forecast of the total, or of its large parts apart where that has lost less.

    Both are made and judged by the demand that comes; without large parts only the total's.
    """

    def __init__(self, make: Make, parts: Parts, settings: ForecastSettings) -> None:
        self._make = make
        self._parts = parts
        fresh = begin_tracking(
            step=settings.step_seconds,
            season_steps=settings.season_steps,
            horizon_steps=settings.horizon_steps,
            quantiles=settings.quantiles,
        )
        self._whole = self._apart = fresh
        self._is_apart = False

    def __call__(self, demand: Demand, settings: ForecastSettings) -> Outcome | None:
        """Return the better of both forecasts, by what they lost in the last season."""
        whole = self._make(demand, settings)
        parts = self._parts(demand)
        is_large = large_parts(demand, parts, last=settings.season_steps, share=LARGE)
        if whole is None or not is_large:
            return whole
        apart = forecast_apart(demand, parts, settings, make=self._make, share=LARGE)
        if apart is None:
            return whole
        self._whole = self._whole.matured(demand.rate)
        self._apart = self._apart.matured(demand.rate)
        self._choose()
        self._whole = self._whole.remembering(whole.forecast)
        self._apart = self._apart.remembering(apart.forecast)
        return apart if self._is_apart else whole

    def _choose(self) -> None:
        used, other = self._whole, self._apart
        if self._is_apart:
            used, other = other, used
        if matured_count(used) < _LEAST_MATURED or len(used.blocks()) < _LEAST_BLOCKS:
            return
        if _loss(other) < _BETTER * _loss(used):
            self._is_apart = not self._is_apart
            _log.info("large tenants are forecast apart", used=self._is_apart)


def _loss(tracking: Tracking) -> float:
    return sum(losses(tracking).values())
