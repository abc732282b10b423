"""Demand: what was asked of one model in each step of a regular grid, with its gaps explicit."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from telemetry.series import Series, Window

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

REQUESTS = "requests/s"
TOKENS = "tokens/s"


class DemandError(Exception):
    """Demand cannot be read, or not on the asked grid: says what was expected and what seen."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Demand for one model in the step before each point; NaN marks a gap, which is never zero."""

    name: str  # of the model, or of the file that it comes from
    rate: Series  # in `unit`
    input_tokens: Series | None = None  # tokens/s, on the grid of `rate`
    output_tokens: Series | None = None
    unit: str = REQUESTS
    ignored: Mask | None = None  # steps that were seen and tell nothing of the time to come
    repairs: tuple[str, ...] = ()  # what was mended while reading, as sentences

    def __post_init__(self) -> None:
        for tokens in (self.input_tokens, self.output_tokens):
            if tokens is not None and tokens.window != self.rate.window:
                raise ValueError("expected tokens on the grid of the rate")
        if self.ignored is not None and self.ignored.shape != self.rate.values.shape:
            raise ValueError("expected one flag of what is ignored for each step")

    @property
    def window(self) -> Window:
        """The grid; a point is the end of its step."""
        return self.rate.window

    @property
    def step(self) -> float:
        """Seconds between two points."""
        return self.rate.window.step

    @property
    def origin(self) -> float:
        """End of the last step, seconds since the epoch."""
        return float(self.rate.window.times[-1])

    @property
    def size(self) -> int:
        """Number of steps."""
        return int(self.rate.values.size)

    @property
    def telling(self) -> Floats:
        """The rate where it tells of the time to come: NaN where it is a gap or ignored."""
        if self.ignored is None:
            return self.rate.values
        return np.where(self.ignored, np.nan, self.rate.values)

    @property
    def input_lengths(self) -> Floats | None:
        """Mean input tokens of a request in each step; None where they are not known."""
        return self._lengths(self.input_tokens)

    @property
    def output_lengths(self) -> Floats | None:
        """Mean output tokens of a request in each step; None where they are not known."""
        return self._lengths(self.output_tokens)

    def part(self, start: int, stop: int) -> "Demand":
        """Return the steps from `start` up to but not including `stop`."""
        if not 0 <= start < stop <= self.size:
            raise ValueError(f"expected a part of {self.size} steps, got {start} to {stop}")
        times = self.window.times
        window = Window(float(times[start]), float(times[stop - 1]), self.step)

        def cut(series: Series | None) -> Series | None:
            return (
                None
                if series is None
                else Series(series.labels, window, series.values[start:stop])
            )

        return replace(
            self,
            rate=Series(self.rate.labels, window, self.rate.values[start:stop]),
            input_tokens=cut(self.input_tokens),
            output_tokens=cut(self.output_tokens),
            ignored=None if self.ignored is None else self.ignored[start:stop],
        )

    def _lengths(self, tokens: Series | None) -> Floats | None:
        if tokens is None or self.unit != REQUESTS:
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            lengths = tokens.values / self.rate.values
        return np.where(np.isfinite(lengths), lengths, np.nan)
