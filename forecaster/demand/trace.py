"""Recorded demand: one row per request, or one row per bin of time, on the way to a grid."""

from dataclasses import dataclass

import numpy as np

from forecaster.demand.demand import REQUESTS, Demand, Floats
from forecaster.demand.place import Place
from forecaster.demand.tally import JUST, MOST_STEPS, Tally
from telemetry.series import Series, Window

DEFAULT_STEP = 60.0  # seconds, where rows are requests
LEAST_STEP = 1e-3  # seconds: grids of less would drown in how moments are rounded


@dataclass(frozen=True, slots=True)
class Trace:
    """Demand over time; NaN marks a bin that was not observed, which is never zero."""

    name: str
    at: Floats  # rising: when each request arrived, or when each bin begins, in seconds
    amounts: Floats  # requests (or tokens) in each bin; all ones where each row is a request
    bin_seconds: float | None  # None where each row is a request
    input_tokens: Floats | None = None
    output_tokens: Floats | None = None
    unit: str = REQUESTS
    repairs: tuple[str, ...] = ()
    observed: tuple[float, float] | None = None  # where it is longer than from first to last row

    @property
    def start(self) -> float:
        """When the trace begins, in its own seconds."""
        return float(self.at[0]) if self.observed is None else self.observed[0]

    @property
    def span_seconds(self) -> float:
        """Time from the beginning of the trace to its end."""
        end = float(self.at[-1]) if self.observed is None else self.observed[1]
        return end - self.start + (self.bin_seconds or 0.0)

    def demand(self, step: float | None = None) -> Demand:
        """Return the demand in each whole step of the trace; its ragged end is left out.

        Without a step it is the length of a bin, or a minute where rows are requests. A step
        that was not observed for at least half of its time is a gap.
        """
        wanted = (self.bin_seconds or DEFAULT_STEP) if step is None else step
        if not wanted >= LEAST_STEP:
            raise self._place.wrong(
                f"expected a step of {LEAST_STEP:g} s or more, got {wanted:g} s"
            )
        if self.bin_seconds is None:
            return self._of_requests(wanted)
        return self._of_bins(wanted, self.bin_seconds)

    @property
    def _place(self) -> Place:
        return Place(self.name)

    def _of_requests(self, step: float) -> Demand:
        tally = Tally(self._place, step, self.start)
        tally.add(self.at, input_tokens=self.input_tokens, output_tokens=self.output_tokens)
        tally.until(self.start + self.span_seconds)
        counted = tally.counted()
        return self._on_grid(
            step,
            counted.requests / step,
            _over(counted.input_tokens, step),
            _over(counted.output_tokens, step),
        )

    def _of_bins(self, step: float, bin_seconds: float) -> Demand:
        steps = self._whole_steps(step, bin_seconds)
        index = ((self.at - self.start) / step + JUST).astype(np.int64)

        def rates(amounts: Floats | None) -> Floats | None:
            if amounts is None:
                return None
            seen = np.isfinite(amounts) & (index < steps)
            summed = np.bincount(index[seen], amounts[seen], minlength=steps)
            # The mean over the bins that were observed; with less than half of them, a gap.
            seconds = np.bincount(index[seen], minlength=steps) * bin_seconds
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.where(seconds >= step / 2, summed / seconds, np.nan)

        rate = rates(self.amounts)
        assert rate is not None  # noqa: S101 - amounts are always there
        return self._on_grid(step, rate, rates(self.input_tokens), rates(self.output_tokens))

    def _on_grid(
        self, step: float, rate: Floats, inputs: Floats | None, outputs: Floats | None
    ) -> Demand:
        window = Window(self.start + step, self.start + step * rate.size, step)
        return Demand(
            self.name,
            Series({}, window, rate),
            None if inputs is None else Series({}, window, inputs),
            None if outputs is None else Series({}, window, outputs),
            unit=self.unit,
            repairs=self.repairs,
        )

    def _whole_steps(self, step: float, bin_seconds: float) -> int:
        if not _divides(bin_seconds, step):
            raise self._place.wrong(
                f"its rows are {bin_seconds:g} s long, so the step must be a multiple of that, "
                f"got {step:g} s"
            )
        steps = int(self.span_seconds / step + JUST)
        if steps < 1:
            raise self._place.wrong(
                f"it spans {self.span_seconds:g} s, which is shorter than one step of {step:g} s"
            )
        if steps > MOST_STEPS:
            raise self._place.wrong(
                f"it spans {self.span_seconds:g} s, which is {steps} steps of {step:g} s; "
                f"expected {MOST_STEPS} at most"
            )
        return steps


def _over(tokens: Floats | None, step: float) -> Floats | None:
    return None if tokens is None else tokens / step


def _divides(part: float, whole: float) -> bool:
    ratio = whole / part
    return ratio > 1 - 1e-6 and abs(ratio - round(ratio)) < 1e-6  # noqa: PLR2004 - float noise
