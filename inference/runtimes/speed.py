"""How fast a runtime computes a model: prompts by the token, answers by the batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from inference.models.spec import ModelSpec
from inference.runtimes.runtime import Batch, Runtime
from telemetry.clock import Clock

_SECONDS = 0.5  # that each shape is repeated for, if it is quicker than that
_FEWEST, _MOST = 3, 200


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second, by the median step."""

    prompt: int  # tokens, of the prefill and before each decoded one
    prefill: float
    decode: dict[int, float]  # by sequences decoded together, all of them counted


def measure_speed(
    runtime: Runtime,
    spec: ModelSpec,
    *,
    prompt: int,
    batches: Sequence[int],
    clock: Clock,
    seed: int = 0,
) -> Speed:
    """Time a loaded model; its KV is allocated anew, and what was there is lost."""
    prompt = min(prompt, spec.positions - 1)
    blocks = -(-(prompt + 1) // runtime.block_size)
    runtime.allocate_kv(1 + max(batches) * blocks)
    tokens = np.random.default_rng(seed).integers(0, spec.vocabulary, (max(batches), prompt))
    prefill = _seconds(runtime, rows_at(runtime, tokens[:1], 0, context=prompt), clock)
    decode = {
        rows: rows
        / _seconds(runtime, rows_at(runtime, tokens[:rows, :1], prompt, context=prompt + 1), clock)
        for rows in batches
    }
    return Speed(prompt, prompt / prefill, decode)


def rows_at(runtime: Runtime, tokens: NDArray[np.int64], position: int, *, context: int) -> Batch:
    """Return a batch of rows that begin at a position, each in blocks for `context` tokens."""
    rows, count = tokens.shape
    size = runtime.block_size
    blocks = -(-context // size)
    tables = 1 + np.arange(rows * blocks).reshape(rows, blocks)
    positions = np.arange(position, position + count)
    return Batch(
        tokens=np.ascontiguousarray(tokens),
        positions=np.tile(positions, (rows, 1)),
        slots=tables[:, positions // size] * size + positions % size,
        block_tables=tables[:, : -(-(position + count) // size)],
        last=np.full(rows, count - 1, np.int64),
    )


def _seconds(runtime: Runtime, batch: Batch, clock: Clock) -> float:
    runtime.step(batch)  # the first of a shape allocates
    times: list[float] = []
    while len(times) < _FEWEST or (sum(times) < _SECONDS and len(times) < _MOST):
        began = clock.monotonic()
        runtime.step(batch)
        times.append(clock.monotonic() - began)
    return max(median(times), 1e-9)
