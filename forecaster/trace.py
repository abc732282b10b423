"""Recorded demand from a CSV file: one row per request, or one row per bin of time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from telemetry.series import Series, Window

Floats = NDArray[np.float64]

_MAX_STEPS = 10_000_000  # a stray timestamp would otherwise ask for all memory


class TraceError(Exception):
    """A trace cannot be read, or not at the asked step."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests over time; NaN marks a bin that was not observed, which is never zero."""

    name: str
    at: Floats  # rising: when each request arrived, or when each bin begins, in seconds
    requests: Floats  # requests in each bin; all ones where each row is a request
    bin_seconds: float | None  # None where each row is a request
    input_tokens: Floats | None = None
    output_tokens: Floats | None = None

    @property
    def start(self) -> float:
        """When the trace begins, in its own seconds."""
        return float(self.at[0])

    @property
    def span_seconds(self) -> float:
        """Time from the beginning of the trace to its end."""
        return float(self.at[-1]) - self.start + (self.bin_seconds or 0.0)

    @property
    def mean_input_tokens(self) -> float | None:
        """Mean prompt tokens of a request, or None where the trace does not say."""
        return self._tokens_per_request(self.input_tokens)

    @property
    def mean_output_tokens(self) -> float | None:
        """Mean generated tokens of a request, or None where the trace does not say."""
        return self._tokens_per_request(self.output_tokens)

    def requests_per_second(self, step: float) -> Series:
        """Return the demand in each whole step of the trace; its ragged end is left out."""
        steps = self._whole_steps(step)
        index = ((self.at - self.start) / step + 1e-9).astype(np.int64)
        inside = index < steps
        window = Window(self.start + step, self.start + step * steps, step)
        return Series({}, window, self._rates(index[inside], inside, steps, step))

    def _rates(
        self, index: NDArray[np.int64], inside: NDArray[np.bool_], steps: int, step: float
    ) -> Floats:
        counts = self.requests[inside]
        seen = np.isfinite(counts)
        summed = np.bincount(index[seen], counts[seen], minlength=steps)
        if self.bin_seconds is None:
            return summed / step
        # The mean over the bins that were observed; with less than half of them, a gap.
        seconds = np.bincount(index[seen], minlength=steps) * self.bin_seconds
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(seconds >= step / 2, summed / seconds, np.nan)

    def _whole_steps(self, step: float) -> int:
        if step <= 0:
            raise TraceError(f"{self.name}: expected a step above 0 s, got {step:g} s")
        if self.bin_seconds is not None and not _divides(self.bin_seconds, step):
            raise TraceError(
                f"{self.name}: its rows are {self.bin_seconds:g} s long, so the step must be a "
                f"multiple of that, got {step:g} s"
            )
        steps = int(self.span_seconds / step + 1e-9)
        if steps < 1:
            raise TraceError(
                f"{self.name}: it spans {self.span_seconds:g} s, which is shorter than one step "
                f"of {step:g} s"
            )
        if steps > _MAX_STEPS:
            raise TraceError(
                f"{self.name}: it spans {self.span_seconds:g} s, which is {steps} steps of "
                f"{step:g} s; expected {_MAX_STEPS} at most"
            )
        return steps

    def _tokens_per_request(self, tokens: Floats | None) -> float | None:
        if tokens is None:
            return None
        known = np.isfinite(tokens) & np.isfinite(self.requests)
        requests = float(self.requests[known].sum())
        return float(tokens[known].sum()) / requests if requests else None


def _divides(part: float, whole: float) -> bool:
    ratio = whole / part
    return ratio > 1 - 1e-6 and abs(ratio - round(ratio)) < 1e-6  # noqa: PLR2004 - float noise
