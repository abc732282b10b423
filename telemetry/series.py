"""A series: values of one metric on a regular time grid, with its gaps explicit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 0.0005  # seconds: times in the same millisecond are the same


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of one metric: what the stores take in."""

    name: str
    labels: Mapping[str, str]
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Selector:
    """Which series are meant: a metric name and the labels that must match exactly."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a series with these labels is meant."""
        return all(labels.get(key) == value for key, value in self.labels.items())


@dataclass(frozen=True, slots=True)
class Window:
    """A regular grid: points at start, start + step, … up to and including end (seconds)."""

    start: float
    end: float
    step: float

    def __post_init__(self) -> None:
        if self.step <= 0 or self.end < self.start:
            raise ValueError(
                f"expected step > 0 and end >= start, got step {self.step}, "
                f"start {self.start}, end {self.end}"
            )

    @property
    def size(self) -> int:
        """Number of grid points."""
        return int((self.end - self.start + _ROUNDING) / self.step) + 1

    @property
    def times(self) -> NDArray[np.float64]:
        """Grid points, seconds since the epoch."""
        return self.start + self.step * np.arange(self.size, dtype=np.float64)

    @classmethod
    def ending(cls, end: float, *, step: float, points: int) -> "Window":
        """Return the window of `points` points whose last is the latest multiple of `step`."""
        last = ((end + _ROUNDING) // step) * step
        return cls(last - step * (points - 1), last, step)


@dataclass(frozen=True, slots=True)
class Series:
    """One metric on a regular grid; NaN marks a gap, which is never zero."""

    labels: Mapping[str, str]
    window: Window
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.shape != (self.window.size,):
            raise ValueError(
                f"expected {self.window.size} values on the grid, got shape {self.values.shape}"
            )

    @property
    def times(self) -> NDArray[np.float64]:
        """Grid points, seconds since the epoch."""
        return self.window.times

    @property
    def has_data(self) -> bool:
        """Whether at least one point is not a gap."""
        return not bool(np.isnan(self.values).all())


def total(series: list[Series], window: Window) -> Series:
    """Add series point by point: a point is a gap only where every series has one."""
    if not series:
        return Series({}, window, np.full(window.size, np.nan))
    values = np.stack([one.values for one in series])
    summed = np.where(np.isnan(values).all(axis=0), np.nan, np.nansum(values, axis=0))
    return Series({}, window, summed)
