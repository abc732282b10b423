"""What a model folder is worth: its size, its speed, and how well it foresees a text."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.models.checkpoint import load_weights
from inference.models.precision import Precision
from inference.models.spec import load_spec
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.runtime import Runtime, RuntimeSettings
from inference.runtimes.speed import rows_at
from telemetry.clock import Clock

_ROWS = 16  # windows computed together
_SPEED_STEPS = 64
_SPEED_ROWS = 8


@dataclass(frozen=True, slots=True)
class Quality:
    """One model, measured; perplexity is exp of the mean surprise per token in nats."""

    precision: Precision
    size_bytes: int  # weights on disk
    tokens_per_second: float | None  # decoded, 8 sequences together; None: no kernels here
    perplexity: float


def measure(folder: Path, windows: NDArray[np.int64], *, clock: Clock) -> Quality:
    """Run a folder's decoder on one thread of the CPU: quantised as it is, others in float32."""
    spec = load_spec(folder)
    precision = spec.stored_precision or Precision.FP32
    runtime = OnnxRuntime(RuntimeSettings(precision=precision))
    runtime.load(spec, load_weights(folder, spec))
    runtime.allocate_kv(1 + _ROWS * -(-windows.shape[1] // runtime.block_size))
    nats = np.concatenate(
        [surprise(runtime, windows[at : at + _ROWS]) for at in range(0, len(windows), _ROWS)]
    )
    is_fast = precision is not Precision.FP8  # which the CPU only imitates
    return Quality(
        precision,
        sum(path.stat().st_size for path in folder.glob("*.safetensors")),
        _speed(runtime, windows, clock) if is_fast else None,
        math.exp(float(nats.mean())),
    )


def surprise(runtime: Runtime, windows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return nats for every token of the windows but the first, [rows, length - 1].

    Token by token, as a served answer is computed.
    """
    rows, length = windows.shape
    nats = np.empty((rows, length - 1))
    for position in range(length - 1):
        tokens = windows[:, position : position + 1]
        batch = rows_at(runtime, tokens, position, context=length)
        logits = runtime.step(batch).astype(np.float64)
        peaks = logits.max(axis=1)
        totals = peaks + np.log(np.exp(logits - peaks[:, None]).sum(axis=1))
        nats[:, position] = totals - logits[np.arange(rows), windows[:, position + 1]]
    return nats


def _speed(runtime: Runtime, windows: NDArray[np.int64], clock: Clock) -> float:
    """Return tokens per second of the median step; windows are repeated where there are few."""
    rows = np.resize(windows, (_SPEED_ROWS, windows.shape[1]))
    times = []
    for position in range(min(_SPEED_STEPS, rows.shape[1])):
        batch = rows_at(
            runtime, rows[:, position : position + 1], position, context=windows.shape[1]
        )
        began = clock.monotonic()
        runtime.step(batch)
        times.append(clock.monotonic() - began)
    return _SPEED_ROWS / max(float(np.median(times)), 1e-9)
