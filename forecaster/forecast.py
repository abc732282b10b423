"""A forecast: demand over (horizon step x quantile), with its unit, origin and model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Forecast:
    """Quantiles of demand for each of the coming steps.

    `values[h, q]` is the level that demand in the step ending at `origin + (h + 1) * step` stays
    below with probability `quantiles[q]`, in `unit`.
    """

    origin: float
    step: float
    quantiles: tuple[float, ...]
    values: NDArray[np.float64]
    model: str
    residuals: int  # past errors that the quantiles rest on; 0 means none yet
    unit: str = "requests/s"

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.quantiles):  # noqa: PLR2004
            raise ValueError(
                f"expected values of shape (steps, {len(self.quantiles)}), got {self.values.shape}"
            )
        if list(self.quantiles) != sorted(self.quantiles):
            raise ValueError(f"expected rising quantiles, got {self.quantiles}")

    @property
    def steps(self) -> int:
        """Number of steps ahead."""
        return int(self.values.shape[0])

    @property
    def times(self) -> NDArray[np.float64]:
        """End of each step ahead, seconds since the epoch."""
        return self.origin + self.step * np.arange(1, self.steps + 1, dtype=np.float64)

    def at_quantile(self, quantile: float) -> NDArray[np.float64]:
        """Return demand per step at `quantile`, between the given levels by interpolation."""
        return np.array([np.interp(quantile, self.quantiles, row) for row in self.values])

    def peak(self, quantile: float, *, until: float) -> float:
        """Return the highest demand at `quantile` in the steps that begin before `until`."""
        begins = self.times - self.step
        reached = self.at_quantile(quantile)[begins < max(until, self.origin + 1e-9)]
        return float(reached.max()) if reached.size else float(self.at_quantile(quantile)[-1])
