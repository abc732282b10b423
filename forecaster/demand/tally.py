"""A tally: requests and their tokens counted into steps as they are read, keeping no row."""

from dataclasses import dataclass

import numpy as np

from forecaster.demand.demand import Floats, Mask
from forecaster.demand.place import Place

MOST_STEPS = 10_000_000  # a stray timestamp would otherwise ask for all memory
JUST = 1e-9  # of a step: what stands on an edge up to rounding is after it

_REQUESTS, _INPUT, _INPUT_KNOWN, _OUTPUT, _OUTPUT_KNOWN = range(5)


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests and tokens in each whole step since `start`."""

    start: float
    requests: Floats
    input_tokens: Floats | None
    output_tokens: Floats | None


class Tally:
    """Counts requests into steps; its memory grows with the time that they span alone."""

    def __init__(self, place: Place, step: float, start: float) -> None:
        self._place = place
        self._step = step
        self._start = start
        self._end = start
        self._sums = np.zeros((5, 64))
        self._has_input = self._has_output = False

    def add(
        self,
        at: Floats,
        *,
        input_tokens: Floats | None = None,
        output_tokens: Floats | None = None,
        taken: Mask | None = None,
    ) -> None:
        """Count requests, none before the start; of those not taken, only that they were."""
        if not at.size:
            return
        self._end = max(self._end, float(at.max()))
        index = self._index(at)
        weights = np.ones(at.size) if taken is None else taken.astype(np.float64)
        low, high = int(index.min()), int(index.max()) + 1
        self._cover(high)
        part = self._sums[:, low:high]
        part[_REQUESTS] += np.bincount(index - low, weights)
        self._has_input |= input_tokens is not None
        self._has_output |= output_tokens is not None
        for tokens, row in ((input_tokens, _INPUT), (output_tokens, _OUTPUT)):
            if tokens is not None:
                is_known = np.isfinite(tokens)
                sizes = np.where(is_known, tokens, 0.0) * weights
                part[row] += np.bincount(index - low, sizes)
                part[row + 1] += np.bincount(index - low, is_known * weights)

    def counted(self) -> Counted:
        """Return the counts of each whole step; the ragged end is left out."""
        steps = self._whole_steps()
        sums = self._sums[:, :steps]
        return Counted(
            self._start,
            sums[_REQUESTS],
            _tokens(sums, _INPUT) if self._has_input else None,
            _tokens(sums, _OUTPUT) if self._has_output else None,
        )

    def until(self, end: float) -> None:
        """Have the time until `end` count as seen."""
        self._end = max(self._end, end)
        self._cover(self._whole_steps())

    def _index(self, at: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        places = (at - self._start) / self._step + JUST
        if places.max() >= MOST_STEPS:
            self._refuse_span(float(at.max()) - self._start)
        return places.astype(np.int64)

    def _cover(self, steps: int) -> None:
        held = self._sums.shape[1]
        if steps > held:
            more = max(steps, 2 * held) - held
            self._sums = np.pad(self._sums, ((0, 0), (0, more)))

    def _whole_steps(self) -> int:
        span = self._end - self._start
        if span / self._step + JUST >= MOST_STEPS + 1:
            self._refuse_span(span)
        steps = int(span / self._step + JUST)
        if steps < 1:
            raise self._place.wrong(
                f"it spans {span:g} s, which is shorter than one step of {self._step:g} s"
            )
        return steps

    def _refuse_span(self, span: float) -> None:
        raise self._place.wrong(
            f"it spans {span:g} s, which is {span / self._step:.0f} steps of {self._step:g} s; "
            f"expected {MOST_STEPS} at most: is there a stray time?"
        )


def _tokens(sums: Floats, row: int) -> Floats:
    """Tokens of all requests of a step, those not known being as long as the others of it."""
    requests, tokens, known = sums[_REQUESTS], sums[row], sums[row + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.where(known == requests, tokens, tokens / known * requests)
    return np.where((known > 0) | (requests == 0), scaled, np.nan)
