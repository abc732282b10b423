"""A forecast: demand over (horizon step x quantile), with its unit, origin, model and worth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from forecaster.margins import MOST, Margins
from forecaster.scenarios import Floats, Indices, Scenarios, joint

_ROUNDING = 1e-6  # seconds
_HALVINGS = 30

# Levels that a forecast is made for where nothing else is asked: dense where pools are sized.
QUANTILES = (
    0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995,
)  # fmt: skip


class Doubt(StrEnum):
    """Why a forecast does not justify scaling down."""

    GAPS = "gaps"  # too much of the recent demand is unknown
    LATE = "late"  # the newest demand is not known yet
    SHORT = "short_history"  # too few errors to know the tails
    UNCALIBRATED = "uncalibrated"  # demand has left its quantiles more often than they say


@dataclass(frozen=True, slots=True)
class Calibration:
    """How recent demand fell among the quantiles as they are now, which were read from it."""

    coverage: Mapping[float, float]  # share of demand at or below each quantile
    errors: int  # matured forecasts that this rests on
    loss: float = float("nan")  # mean pinball loss, in the forecast's unit


@dataclass(frozen=True, slots=True)
class Highest:
    """Quantiles of the highest rate between two moments: marginal quantiles would not add up."""

    begins: float
    ends: float
    quantiles: tuple[float, ...]
    values: Floats

    def at(self, quantile: float) -> float:
        """Return the level that the highest rate stays below with this probability."""
        return float(np.interp(quantile, self.quantiles, self.values))


@dataclass(frozen=True, slots=True)
class Forecast:
    """Quantiles of demand for each of the coming steps, and paths drawn from them.

    `values[h, q]` is the level that demand in the step ending at `origin + (h + 1) * step` stays
    below with probability `quantiles[q]`, in `unit`.
    """

    origin: float
    step: float
    quantiles: tuple[float, ...]
    values: Floats
    model: str  # of forecasting: what the quantiles were combined from
    residuals: int  # past errors that the quantiles rest on; 0 means none yet
    unit: str = "requests/s"
    weights: Mapping[str, float] = field(default_factory=dict)  # share of each member
    scenarios: Scenarios | None = None
    calibration: Calibration | None = None
    doubts: tuple[Doubt, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.quantiles):  # noqa: PLR2004
            raise ValueError(
                f"expected values of shape (steps, {len(self.quantiles)}), got {self.values.shape}"
            )
        if list(self.quantiles) != sorted(self.quantiles):
            raise ValueError(f"expected rising quantiles, got {self.quantiles}")
        if self.scenarios is not None and self.scenarios.rate.shape[1] != self.steps:
            raise ValueError(
                f"expected scenarios of {self.steps} steps, got {self.scenarios.rate.shape[1]}"
            )

    @property
    def steps(self) -> int:
        """Number of steps ahead."""
        return int(self.values.shape[0])

    @property
    def times(self) -> Floats:
        """End of each step ahead, seconds since the epoch."""
        return self.origin + self.step * np.arange(1, self.steps + 1, dtype=np.float64)

    @property
    def may_scale_down(self) -> bool:
        """Whether the forecast is good enough to take replicas away on."""
        return not self.doubts

    def at_quantile(self, quantile: float) -> Floats:
        """Return demand per step at `quantile`, between the given levels by interpolation."""
        return np.array([np.interp(quantile, self.quantiles, row) for row in self.values])

    def highest(self, *, lead: float, window: float) -> Highest:
        """Return quantiles of the highest rate in the `window` seconds from `lead` seconds on.

        The rate of a step is its mean: a step that the window cuts counts whole. Of a window that
        reaches beyond the horizon only what lies within is told, and the last step of one that
        begins there. Which steps are high together is taken from the scenarios, how high from the
        quantiles; without scenarios all are taken to be, which is the least that it can be.
        """
        inside = self._inside(lead, window)
        values = np.maximum.accumulate(self.values[inside].max(axis=0))
        if self.scenarios is not None and inside.sum() > 1:
            margins = Margins.through(self.quantiles, self.values[inside])
            ranks = self.scenarios.ranks[:, inside]
            values = _highest(margins, ranks, np.array(self.quantiles), least=values)
        start = self.origin + lead
        return Highest(start, start + window, self.quantiles, values)

    def peak(self, quantile: float, *, until: float) -> float:
        """Return the highest demand at `quantile` in the steps that begin before `until`."""
        window = max(until - self.origin, self.step)
        return self.highest(lead=0.0, window=window).at(quantile)

    def _inside(self, lead: float, window: float) -> NDArray[np.bool_]:
        """Tell which steps have some of the window in them; one at least."""
        begins = self.step * np.arange(self.steps)
        inside = (begins < lead + window - _ROUNDING) & (begins + self.step > lead + _ROUNDING)
        if not inside.any():
            inside[np.clip(int(lead // self.step), 0, self.steps - 1)] = True
        return np.asarray(inside)


def _highest(margins: Margins, ranks: Indices, levels: Floats, *, least: Floats) -> Floats:
    """Return the rates that all steps stay below with each probability, by halving.

    They lie between the highest step's own quantile, and its quantile for a share of the risk so
    small that the shares of all the steps, were they never high together, are the whole risk.
    """
    low, high = (
        np.minimum(least, MOST),
        margins.at(1.0 - (1.0 - levels) / ranks.shape[1]).max(axis=0),
    )
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        enough = joint(ranks, margins.below(middle)) >= levels
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.maximum(np.maximum.accumulate(high), least)
