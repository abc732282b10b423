"""Builds every runtime that this machine's GPU has, checks its numbers, and times it.

    python -m tests.gpu.check [--model FOLDER] [--json]

Chunked prefill and greedy decode go through each runtime, and through ONNX Runtime on the CPU
with the same weights; decode is set against the bandwidth that the GPU was measured to have.
Without a GPU it says what is missing, and ends well.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from inference.models.checkpoint import Weights, load_weights, tensor_shapes
from inference.models.precision import Lowering, Precision
from inference.models.spec import ModelSpec, load_spec
from inference.runtimes.choose import choose_runtime
from inference.runtimes.cuda import CudaDevice
from inference.runtimes.device import BandCopy, Device
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.probe import Gpu, probe_driver
from inference.runtimes.runtime import (
    Runtime,
    RuntimeFailedError,
    RuntimeMissingError,
    RuntimeSettings,
)
from telemetry.clock import Clock, SystemClock
from tests.inference.runtimes.driving import Line, advance

SPEC = ModelSpec(
    vocabulary=2048,
    hidden=384,
    layers=6,
    heads=6,
    kv_heads=2,
    head_dim=64,
    feed_forward=1024,
    positions=1024,
    norm_eps=1e-5,
    rope_theta=10_000.0,
    tied=True,
    stop_tokens=frozenset(),
)
PROMPTS = (37, 5, 200, 90, 512)
CHUNK = 24
ANSWER = 16
CONTEXT = 512  # tokens per row where decode is timed
BATCHES = (1, 8, 32)
REPEATS = 30
_BITS = {Precision.FP32: 32, Precision.INT8: 8, Precision.FP8: 8, Precision.INT4: 4}

# Largest difference of logits, over the largest logit, from the CPU with the same matrices.
# TensorRT computes float32 in TF32, and the formats of fewer bits in float16.
TOLERANCE = {Precision.FP32: 5e-3, Precision.FP16: 2e-2, Precision.BF16: 1e-1}
AGREEMENT = 0.9  # of greedy tokens; two logits that lie this close may change places


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run the model."""

    runtime: str
    lowering: Lowering
    precision: Precision

    def __str__(self) -> str:
        return f"{self.runtime} {self.lowering} {self.precision}"

    @property
    def reference(self) -> Precision:
        """What the CPU computes for comparison: the same matrices, in float32."""
        rounded = self.precision in (Precision.INT8, Precision.INT4)
        return self.precision if rounded else Precision.FP32

    @property
    def tolerance(self) -> float:
        """How far logits may lie from the CPU's."""
        return TOLERANCE.get(self.precision, TOLERANCE[Precision.FP16])


CANDIDATES = (
    *(
        Candidate(runtime, lowering, precision)
        for runtime in ("tensorrt", "tensorrt-rtx")
        for lowering in (Lowering.KVUPDATE, Lowering.HOSTKV)
        for precision in (
            Precision.FP32,
            Precision.FP16,
            Precision.BF16,
            Precision.INT8,
            Precision.INT4,
        )
    ),
    Candidate("onnx-cuda", Lowering.PAGED, Precision.FP32),
    Candidate("onnx-cuda", Lowering.PAGED, Precision.FP16),
    Candidate("onnx-cuda", Lowering.GQA, Precision.FP16),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was found out about one candidate."""

    subject: str
    missing: str | None = None  # why it was not run
    failure: str | None = None  # why it ran, but not well
    difference: float | None = None  # of logits, over the largest
    agreement: float | None = None  # of greedy tokens
    load_seconds: float | None = None
    prefill_tokens_per_second: float | None = None
    decode_ms: dict[int, float] = dataclasses.field(default_factory=dict)  # by batch
    roofline: dict[int, float] = dataclasses.field(default_factory=dict)  # share of the bound


@dataclass(frozen=True, slots=True)
class Traffic:
    """What decode must read: the bound of its speed."""

    bandwidth: float  # bytes per second, measured
    weights: float  # bytes
    token: float  # bytes of KV per token

    def seconds(self, batch: int) -> float:
        """Return the least time of a step of `batch` rows at CONTEXT tokens."""
        return (self.weights + batch * CONTEXT * self.token) / self.bandwidth


Recording = list[tuple[np.ndarray, np.ndarray]]  # logits and the tokens chosen, by step


def lines_for(runtime: Runtime, lengths: Sequence[int], room: int, vocabulary: int) -> list[Line]:
    """Random prompts with blocks for `room` tokens each."""
    rng = np.random.default_rng(11)
    per_line = -(-room // runtime.block_size)
    return [
        Line(
            rng.integers(0, vocabulary, length).tolist(),
            list(range(1 + at * per_line, 1 + (at + 1) * per_line)),
        )
        for at, length in enumerate(lengths)
    ]


def blocks_for(runtime: Runtime, lines: int, room: int) -> int:
    """Return the blocks of so many lines, and the null block."""
    return 1 + lines * -(-room // runtime.block_size)


def play(runtime: Runtime, spec: ModelSpec, script: Recording | None) -> Recording:
    """Prefill in chunks, then decode: greedily, or what the script chose."""
    room = max(PROMPTS) + ANSWER + 1
    runtime.allocate_kv(blocks_for(runtime, len(PROMPTS), room))
    lines = lines_for(runtime, PROMPTS, room, spec.vocabulary)
    ends = np.zeros((len(lines), spec.vocabulary), np.float32)
    waiting = list(range(len(lines)))
    while waiting:
        found = advance(runtime, [lines[at] for at in waiting], CHUNK)
        ends[waiting] = found
        waiting = [at for at in waiting if lines[at].done < len(lines[at].tokens)]
    recording = [(ends, ends.argmax(1))]
    for step in range(ANSWER):
        tokens = (script or recording)[step][1]
        for line, token in zip(lines, tokens, strict=True):
            line.tokens.append(int(token))
        logits = advance(runtime, lines, 1)
        recording.append((logits, logits.argmax(1)))
    return recording


def compare(found: Recording, expected: Recording) -> tuple[float, float]:
    """Return the largest relative difference of logits, and the share of equal tokens."""
    difference = max(
        float(np.abs(mine - theirs).max() / np.abs(theirs).max())
        for (mine, _), (theirs, _) in zip(found, expected, strict=True)
    )
    equal = [mine == theirs for (_, mine), (_, theirs) in zip(found, expected, strict=True)]
    return difference, float(np.mean(equal))


def decode_seconds(runtime: Runtime, spec: ModelSpec, batch: int, clock: Clock) -> float:
    """Return the median time of a decode step at CONTEXT tokens per row."""
    room = CONTEXT + 1
    runtime.allocate_kv(blocks_for(runtime, batch, room))
    lines = lines_for(runtime, [room] * batch, room, spec.vocabulary)
    return _median(clock, lambda: _again(runtime, lines, at=CONTEXT))


def prefill_rate(runtime: Runtime, spec: ModelSpec, clock: Clock) -> float:
    """Return tokens per second of one prompt of CONTEXT tokens."""
    runtime.allocate_kv(blocks_for(runtime, 1, CONTEXT))
    lines = lines_for(runtime, [CONTEXT], CONTEXT, spec.vocabulary)
    return CONTEXT / _median(clock, lambda: _again(runtime, lines, at=0))


def bandwidth(device: Device, clock: Clock, size: int = 1 << 28) -> float:
    """Return bytes per second that a copy within the device reads and writes."""
    source, target = device.allocate(size), device.allocate(size)
    copy = BandCopy(source, size // 64, target, size // 64, size // 64, 64)

    def once() -> None:
        device.copy_bands(copy)
        device.synchronize()

    seconds = _median(clock, once)
    device.release(source)
    device.release(target)
    return 2 * size / seconds


def check(
    candidate: Candidate,
    make: Callable[[RuntimeSettings], Runtime],
    model: tuple[ModelSpec, Weights],
    expected: Recording,
    *,
    bytes_per_second: float,
    clock: Clock,
) -> Figures:
    """Build one candidate, compare it with the CPU's recording, and time it."""
    settings = RuntimeSettings(lowering=candidate.lowering, precision=candidate.precision)
    spec, weights = model
    try:
        runtime = make(settings)
        began = clock.monotonic()
        runtime.load(spec, weights)
        loaded = clock.monotonic() - began
        difference, agreement = compare(play(runtime, spec, expected), expected)
        steps = {batch: decode_seconds(runtime, spec, batch, clock) for batch in BATCHES}
        prefill = prefill_rate(runtime, spec, clock)
    except RuntimeMissingError as error:
        return Figures(str(candidate), missing=str(error))
    except RuntimeFailedError as error:
        return Figures(str(candidate), failure=str(error))
    bits = _BITS.get(candidate.precision, 16)
    token = runtime.block_bytes / runtime.block_size
    traffic = Traffic(
        bytes_per_second, sum(one.size for one in weights.values()) * bits / 8, token
    )
    return Figures(
        str(candidate),
        failure=_verdict(candidate, difference, agreement),
        difference=difference,
        agreement=agreement,
        load_seconds=loaded,
        prefill_tokens_per_second=prefill,
        decode_ms={batch: 1e3 * seconds for batch, seconds in steps.items()},
        roofline={batch: traffic.seconds(batch) / seconds for batch, seconds in steps.items()},
    )


def check_all(gpu: Gpu, model: tuple[ModelSpec, Weights], clock: Clock) -> Iterator[Figures]:
    """Check every candidate; the CPU's recordings are made once for each format."""
    device = CudaDevice(gpu)
    rate = bandwidth(device, clock)
    device.close()
    recordings: dict[Precision, Recording] = {}
    for candidate in CANDIDATES:
        if candidate.reference not in recordings:
            recordings[candidate.reference] = reference(model, candidate.reference)
        yield check(
            candidate,
            lambda settings, name=candidate.runtime: choose_runtime(name, settings),
            model,
            recordings[candidate.reference],
            bytes_per_second=rate,
            clock=clock,
        )


def reference(model: tuple[ModelSpec, Weights], precision: Precision) -> Recording:
    """Record what ONNX Runtime answers on the CPU."""
    runtime = OnnxRuntime(RuntimeSettings(precision=precision))
    runtime.load(*model)
    return play(runtime, model[0], None)


def random_model(spec: ModelSpec = SPEC) -> tuple[ModelSpec, Weights]:
    """Random weights, large enough for every token of a context to matter."""
    rng = np.random.default_rng(7)
    return spec, {
        name: (
            1 + 0.1 * rng.standard_normal(shape)
            if len(shape) == 1
            else rng.standard_normal(shape) / np.sqrt(shape[-1])
        ).astype(np.float32)
        for name, shape in tensor_shapes(spec).items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what is there; 1 where a runtime gives wrong numbers or breaks."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.check", description=__doc__)
    parser.add_argument("--model", type=Path, help="a Hugging Face folder; else random weights")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    driver = probe_driver()
    try:
        gpu = driver.gpu(0)
    except RuntimeMissingError as error:
        _say(json.dumps({"skipped": str(error)}) if chosen.json else f"skipped: {error}")
        return 0
    model = random_model()
    if chosen.model is not None:
        spec = load_spec(chosen.model)
        model = spec, load_weights(chosen.model, spec)
    figures = []
    for one in check_all(gpu, model, SystemClock()):
        figures.append(one)
        if not chosen.json:
            _say(_row(one))
    if chosen.json:
        rows = [dataclasses.asdict(one) for one in figures]
        _say(json.dumps({"gpu": dataclasses.asdict(gpu), "driver": driver.version, "rows": rows}))
    return int(any(one.failure for one in figures))


def _verdict(candidate: Candidate, difference: float, agreement: float) -> str | None:
    if difference > candidate.tolerance:
        return f"logits differ by {difference:.1e}, expected at most {candidate.tolerance:.0e}"
    if agreement < AGREEMENT:
        return f"{agreement:.0%} of the tokens agree, expected {AGREEMENT:.0%}"
    return None


def _again(runtime: Runtime, lines: list[Line], *, at: int) -> None:
    for line in lines:
        line.done = at
    advance(runtime, lines, CONTEXT)


def _median(clock: Clock, work: Callable[[], object]) -> float:
    times = []
    for turn in range(3 + REPEATS):
        began = clock.monotonic()
        work()
        if turn >= 3:  # the first ones allocate and capture
            times.append(clock.monotonic() - began)
    return max(median(times), 1e-9)


def _row(one: Figures) -> str:
    if one.missing is not None:
        return f"{one.subject:32} missing: {one.missing}"
    if one.decode_ms == {}:
        return f"{one.subject:32} FAILED: {one.failure}"
    steps = "  ".join(
        f"B={batch} {ms:.2f} ms ({one.roofline[batch]:.0%})" for batch, ms in one.decode_ms.items()
    )
    verdict = f"FAILED: {one.failure}" if one.failure else "ok"
    return (
        f"{one.subject:32} {verdict}  Δ {one.difference:.1e}  tokens {one.agreement:.0%}  "
        f"load {one.load_seconds:.1f} s  prefill {one.prefill_tokens_per_second:.0f}/s  {steps}"
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
