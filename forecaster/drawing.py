"""Drawing: scenarios whose steps have the forecast's quantiles and depend as past errors did.

A Schaake shuffle: each step's demand is spread evenly over its distribution, then handed to paths
in the order in which the errors of past forecasts lay at that step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecaster.combination.asking import Past
from forecaster.history import History
from forecaster.margins import Margins
from forecaster.scenarios import Floats, Indices, Scenarios

LEAST_ROWS = 30  # past forecasts; fewer say too little of what depends on what
# From one step to the next where the past does not tell: demand that is high stays high a while.
PERSISTENCE = 0.9
RECENT_STEPS = 30  # whose mean the lengths of requests are expected to stay at
LEAST_TOKENS = 1.0  # of a request


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean tokens of a request in each past step, NaN where unknown, and where each error began.

    `origins[r]` is the index of the last step that the forecast with the errors of row r saw, and
    its first error is that of the step `first` steps later.
    """

    origins: Indices
    input_tokens: Floats | None = None
    output_tokens: Floats | None = None
    recent: int = RECENT_STEPS
    first: int = 1


def draw(
    values: Floats,
    quantiles: Sequence[float],
    errors: Floats,
    *,
    count: int,
    generator: np.random.Generator,
    lengths: Lengths | None = None,
) -> Scenarios:
    """Draw `count` paths for `values`, steps x quantiles, from `errors`, past origins x steps.

    Each step of the paths has exactly the distribution forecast, at evenly spread probabilities.
    Errors are NaN where unknown, and must be each step's own: blended from neighbouring steps,
    they would rise and fall together more than demand does. Where too few are known, demand
    persists from step to step as `PERSISTENCE` says.
    """
    if count < 1 or errors.ndim != 2 or errors.shape[1] != len(values):  # noqa: PLR2004
        raise ValueError(
            f"expected at least one path and errors of {len(values)} steps, "
            f"got {count} paths and errors of shape {errors.shape}"
        )
    usable, shapes = _shapes(errors)
    rows = usable[_evenly(usable.size, count, generator)]
    noise = _persistent(count, len(values), generator)
    shape = shapes[np.searchsorted(usable, rows)] if rows.size else np.zeros(noise.shape)
    ranks = np.argsort(np.lexsort((noise, shape), axis=0), axis=0)
    spread = Margins.through(quantiles, values).at((np.arange(count) + 0.5) / count)
    rate = np.take_along_axis(spread.T, ranks, axis=0)
    if rows.size:
        return _with_lengths(Scenarios(rate, rows=rows - len(errors)), lengths, rows)
    known = 0 if lengths is None else lengths.origins.size
    return _with_lengths(Scenarios(rate), lengths, _evenly(known, count, generator))


def step_errors(
    history: History, past: Past, expected: Floats, scale: Floats, *, first: int = 1
) -> Floats:
    """Return the errors to draw from, in scales: origins x steps from `first` to the horizon.

    `expected` is origins x horizons on the root scale, and straight between horizons; what came
    is each step's own. `scale` is how restless demand was at each origin, which would otherwise
    make all steps after a restless origin stand out together.
    """
    steps = np.arange(first, int(past.horizons[-1]) + 1)
    paths = np.array([np.interp(steps, past.horizons, path) for path in expected])
    return np.asarray((history.after(past.origins, steps) - paths) / scale[:, None])


def _shapes(errors: Floats) -> tuple[Indices, Floats]:
    """Return which rows of errors to follow, and their shapes without gaps; none if too few."""
    known = np.isfinite(errors)
    complete = np.flatnonzero(known.all(axis=1))
    if complete.size >= LEAST_ROWS:
        return complete, errors[complete]
    partial = np.flatnonzero(2 * known.sum(axis=1) >= errors.shape[1])
    if partial.size >= LEAST_ROWS:
        return partial, _bridged(_standing(errors[partial]))
    return partial[:0], errors[:0]


def _standing(errors: Floats) -> Floats:
    """Return the share of a step's known errors that lie below each: scales of steps differ."""
    known = np.isfinite(errors)
    ranks = np.argsort(np.argsort(np.where(known, errors, np.inf), axis=0), axis=0)
    return np.where(known, (ranks + 0.5) / np.maximum(known.sum(axis=0), 1), np.nan)


def _bridged(rows: Floats) -> Floats:
    """Fill gaps within each row from the nearest known on both sides; a row of gaps with NaN."""
    steps = np.arange(rows.shape[1])
    known = np.isfinite(rows)
    filled = rows.copy()
    for row, have in zip(filled, known, strict=True):
        if have.any() and not have.all():
            row[~have] = np.interp(steps[~have], steps[have], row[have])
    return filled


def _evenly(rows: int, count: int, generator: np.random.Generator) -> Indices:
    """Pick `count` of so many rows, in order: each as often as any other, or once more."""
    if rows == 0:
        return np.zeros(0, dtype=np.int64)
    whole, rest = divmod(count, rows)
    more = generator.choice(rows, size=rest, replace=False)
    return np.sort(np.concatenate([np.repeat(np.arange(rows), whole), more])).astype(np.int64)


def _persistent(count: int, steps: int, generator: np.random.Generator) -> Floats:
    """Draw normal noise that keeps `PERSISTENCE` of itself from each step to the next."""
    fresh = generator.standard_normal((count, steps))
    noise = fresh.copy()
    for step in range(1, steps):
        kept = PERSISTENCE * noise[:, step - 1]
        noise[:, step] = kept + np.sqrt(1.0 - PERSISTENCE**2) * fresh[:, step]
    return noise


def _with_lengths(scenarios: Scenarios, lengths: Lengths | None, rows: Indices) -> Scenarios:
    """Return the scenarios with the lengths that followed the errors of `rows`, one per path."""
    if lengths is None:
        return scenarios
    shape = scenarios.rate.shape
    return replace(
        scenarios,
        input_tokens=_drawn_lengths(lengths.input_tokens, lengths, rows, shape),
        output_tokens=_drawn_lengths(lengths.output_tokens, lengths, rows, shape),
    )


def _drawn_lengths(
    past: Floats | None, lengths: Lengths, rows: Indices, shape: tuple[int, ...]
) -> Floats | None:
    """Return the recent mean times what lengths became, as ratio, after the origins of `rows`."""
    if past is None or not np.isfinite(past).any():
        return None
    means = _trailing_mean(past, lengths.recent)
    if rows.size == 0:
        return np.full(shape, max(float(means[-1]), LEAST_TOKENS))
    origins = lengths.origins[rows]
    index = origins[:, None] + np.arange(shape[1]) + lengths.first
    came = np.where(index < past.size, past[np.minimum(index, past.size - 1)], np.nan)
    ratios = _bridged(came / np.maximum(means[origins], LEAST_TOKENS)[:, None])
    drawn = means[-1] * np.where(np.isfinite(ratios), ratios, 1.0)
    return np.asarray(np.maximum(drawn, LEAST_TOKENS))


def _trailing_mean(past: Floats, recent: int) -> Floats:
    """Return the mean of what is known in the `recent` steps up to each, else what it last was."""
    known = np.isfinite(past)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, past, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    ends = np.arange(1, past.size + 1)
    begins = np.maximum(ends - recent, 0)
    have = counts[ends] - counts[begins]
    means = (sums[ends] - sums[begins]) / np.maximum(have, 1)
    latest = np.maximum.accumulate(np.where(have > 0, np.arange(past.size), -1))
    return np.asarray(np.where(latest < 0, past[np.argmax(known)], means[latest]))
