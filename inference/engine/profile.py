"""What an iteration costs on this machine: T = fixed + decode * tokens + prefill * tokens."""

from collections.abc import Sequence as Sized
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np
from numpy.typing import NDArray

from inference.engine.forward import batch_of, group_by_length
from inference.engine.sampling import GREEDY, Sampler, draw
from inference.engine.scheduler import Chunk
from inference.engine.sequence import Request, Sequence
from inference.runtimes.runtime import Runtime
from telemetry.clock import Clock

_REPEATS = 3
_DECODE_CONTEXT = 64  # tokens before the one decoded
_PREFILL_CHUNKS = (32, 128)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The time of an iteration that decoded and prefilled so many tokens."""

    decode_tokens: int
    prefill_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class IterationCost:
    """Seconds of an iteration: `fixed`, and what each decoded or prompt token adds."""

    fixed: float
    decode_token: float
    prefill_token: float


def profile(
    runtime: Runtime,
    *,
    slots: int,
    context: int,
    blocks: int,
    clock: Clock,
    min_iteration_seconds: float = 0.0,
) -> IterationCost:
    """Run a few iterations on an idle runtime and fit their cost, pacing included."""
    longest = min(context, (blocks - 1) * runtime.block_size) - 1
    before = min(_DECODE_CONTEXT, longest)
    iterations = [_decodes(runtime, rows, before, blocks) for rows in sorted({1, slots})]
    iterations += [
        _prefills(runtime, count) for count in sorted({min(n, longest) for n in _PREFILL_CHUNKS})
    ]
    measured = [_measure(runtime, chunks, clock) for chunks in iterations]
    return fit([_paced(one, min_iteration_seconds) for one in measured])


def fit(measurements: Sized[Measurement]) -> IterationCost:
    """Return the non-negative cost with the least sum of squared relative errors.

    Three coefficients have seven sets of positive ones: each is solved outright.
    """
    seconds = np.array([one.seconds for one in measurements])
    terms = np.array([(1.0, one.decode_tokens, one.prefill_tokens) for one in measurements])
    relative = terms / seconds[:, None]
    candidates = [
        _solve(relative, kept) for size in (1, 2, 3) for kept in combinations(range(3), size)
    ]
    allowed = [one for one in candidates if (one >= 0).all()]
    best = min(allowed, key=lambda one: float(((relative @ one - 1) ** 2).sum()))
    return IterationCost(*(float(value) for value in best))


def _solve(relative: NDArray[np.float64], kept: tuple[int, ...]) -> NDArray[np.float64]:
    solution = np.zeros(relative.shape[1])
    solution[list(kept)] = np.linalg.lstsq(relative[:, kept], np.ones(len(relative)))[0]
    return solution


def _decodes(runtime: Runtime, rows: int, before: int, blocks: int) -> list[Chunk]:
    """One decoded token in each row, or in as many rows as have blocks of their own."""
    needed = before // runtime.block_size + 1
    rows = min(rows, (blocks - 1) // needed)
    return [
        Chunk(
            _sequence(before + 1, first=1 + row * needed, blocks=needed), before, 1, is_decode=True
        )
        for row in range(rows)
    ]


def _prefills(runtime: Runtime, count: int) -> list[Chunk]:
    needed = -(-count // runtime.block_size)
    return [Chunk(_sequence(count, first=1, blocks=needed), 0, count, is_decode=False)]


def _sequence(length: int, *, first: int, blocks: int) -> Sequence:
    sequence = Sequence(Request("profile", (0,) * length, max_tokens=1), arrived=0.0)
    sequence.blocks = list(range(first, first + blocks))
    return sequence


def _measure(runtime: Runtime, chunks: list[Chunk], clock: Clock) -> Measurement:
    _compute(runtime, chunks)  # the first of a shape allocates
    times = []
    for _ in range(_REPEATS):
        began = clock.monotonic()
        _compute(runtime, chunks)
        times.append(clock.monotonic() - began)
    decode = sum(chunk.count for chunk in chunks if chunk.is_decode)
    prefill = sum(chunk.count for chunk in chunks if not chunk.is_decode)
    return Measurement(decode, prefill, max(median(times), 1e-9))


def _compute(runtime: Runtime, chunks: list[Chunk]) -> None:
    for group in group_by_length(chunks):
        logits = runtime.step(batch_of(group, runtime.block_size))
        draw(logits, [Sampler(GREEDY, (), vocabulary=logits.shape[1]) for _ in group])


def _paced(one: Measurement, min_iteration_seconds: float) -> Measurement:
    return Measurement(
        one.decode_tokens, one.prefill_tokens, max(one.seconds, min_iteration_seconds)
    )
