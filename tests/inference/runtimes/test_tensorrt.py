"""TensorRT's runtime with everything real but the GPU: ONNX Runtime runs the same graphs."""

import ctypes
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from inference.models.checkpoint import Weights
from inference.models.precision import Lowering, Precision
from inference.models.reference import reference_logits
from inference.models.spec import ModelSpec
from inference.runtimes.cuda import CudaDevice
from inference.runtimes.host_device import HostDevice
from inference.runtimes.host_library import HostLibrary
from inference.runtimes.machine import Machine
from inference.runtimes.probe import Gpu
from inference.runtimes.runtime import (
    BlockCopy,
    ImageRows,
    RuntimeFailedError,
    RuntimeSettings,
    SleepLevel,
)
from inference.runtimes.shapes import ShapeLimits
from inference.runtimes.tensorrt import TensorRTRuntime
from telemetry.clock import ManualClock
from telemetry.tracing import open_tracing
from tests.inference.runtimes.driving import Line, advance, batch_of, random_lines

GPU = Gpu(0, "a GPU played by the host", (8, 9), 1 << 30)
LIMITS = ShapeLimits(decode_rows=8, prefill_rows=2, chunk=16)
SETTINGS = RuntimeSettings(precision=Precision.FP32, block_size=8)
LENGTHS = [37, 5, 64, 90, 21]
BLOCKS = {Lowering.KVUPDATE: 9, Lowering.HOSTKV: 80}

LOWERINGS = pytest.mark.parametrize("lowering", [Lowering.KVUPDATE, Lowering.HOSTKV])


def new_runtime(
    lowering: Lowering = Lowering.HOSTKV,
    *,
    library: HostLibrary | None = None,
    device: HostDevice | CudaDevice | None = None,
    settings: RuntimeSettings = SETTINGS,
    gpu: Gpu = GPU,
    **options: object,
) -> TensorRTRuntime:
    machine = Machine(gpu, device or HostDevice(), library or HostLibrary())
    return TensorRTRuntime(
        dataclasses.replace(settings, lowering=lowering),
        limits=LIMITS,
        machine=lambda: machine,
        **options,
    )


class PlayedGpu(CudaDevice):
    """A GPU of the fake driver that runs the host's engines on its stream, captured or not."""

    def submit(self, work: Callable[[], None]) -> None:
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: work())
        self.__dict__.setdefault("functions", []).append(function)
        address = ctypes.cast(function, ctypes.c_void_p).value
        self._call("cuLaunchHostFunc", self._stream, self._driver.CUhostFn(address), 0)


@pytest.fixture
def load(spec: ModelSpec, weights: Weights) -> Callable[..., TensorRTRuntime]:
    def load(lowering: Lowering, **options: object) -> TensorRTRuntime:
        runtime = new_runtime(lowering, **options)
        runtime.load(spec, weights)
        runtime.allocate_kv(BLOCKS[lowering])
        return runtime

    return load


def lines_for(spec: ModelSpec, lowering: Lowering) -> list[Line]:
    """Sequences whose blocks lie scattered over the memory."""
    rng = np.random.default_rng(3)
    free = list(rng.permutation(np.arange(1, BLOCKS[lowering])))
    per_line = 1 if lowering is Lowering.KVUPDATE else 13
    blocks = [[int(free.pop()) for _ in range(per_line)] for _ in LENGTHS]
    return random_lines(spec.vocabulary, LENGTHS, blocks)


def assert_agrees(spec: ModelSpec, weights: Weights, line: Line, logits: np.ndarray):
    expected = reference_logits(spec, weights, line.tokens[: line.done])[-1]

    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


@LOWERINGS
@pytest.mark.parametrize("most", [1, 5, 16, 100])
def test_prefill_agrees_with_the_reference(
    load: Callable[..., TensorRTRuntime],
    spec: ModelSpec,
    weights: Weights,
    lowering: Lowering,
    most: int,
):
    runtime, waiting = load(lowering), lines_for(spec, lowering)
    while waiting:
        for line, logits in zip(waiting, advance(runtime, waiting, most), strict=True):
            assert_agrees(spec, weights, line, logits)
        waiting = [line for line in waiting if line.done < len(line.tokens)]


@LOWERINGS
@pytest.mark.parametrize("captures", [False, True], ids=["we capture", "the library captures"])
def test_sequences_that_come_and_go_agree_with_the_reference(
    load: Callable[..., TensorRTRuntime],
    spec: ModelSpec,
    weights: Weights,
    lowering: Lowering,
    captures: bool,  # noqa: FBT001
):
    runtime = load(lowering, library=HostLibrary(captures=captures))
    lines = lines_for(spec, lowering)
    for round_ in range(10):
        decoding = lines[round_ // 3 :] if round_ > 5 else lines[: round_ + 1]
        fresh = [line for line in decoding if line.done < len(line.tokens)]
        for line, logits in zip(fresh, advance(runtime, fresh, 100) if fresh else [], strict=True):
            assert_agrees(spec, weights, line, logits)
        for line in decoding:
            line.tokens.append(round_)
        for line, logits in zip(decoding, advance(runtime, decoding, 1), strict=True):
            assert_agrees(spec, weights, line, logits)


class Counting(HostDevice):
    """Counts what is captured."""

    captured = 0

    def capture(self, work: Callable[[], None]) -> object:
        self.captured += 1
        return super().capture(work)


@LOWERINGS
@pytest.mark.parametrize(("captures", "expected"), [(False, 1), (True, 0)])
def test_a_shape_is_captured_once_when_it_comes_again(
    load: Callable[..., TensorRTRuntime],
    spec: ModelSpec,
    lowering: Lowering,
    captures: bool,  # noqa: FBT001
    expected: int,
):
    device = Counting()
    runtime = load(lowering, device=device, library=HostLibrary(captures=captures))
    lines = lines_for(spec, lowering)[:2]
    for _ in range(4):
        advance(runtime, lines, 1)

    assert device.captured == expected


def test_what_cannot_be_captured_runs_uncaptured(
    load: Callable[..., TensorRTRuntime], spec: ModelSpec, weights: Weights
):
    class Refusing(HostDevice):
        def capture(self, work: Callable[[], None]) -> object:
            raise RuntimeFailedError("operation not permitted when stream is capturing")

    runtime = load(Lowering.HOSTKV, device=Refusing())
    lines = lines_for(spec, Lowering.HOSTKV)[:2]
    for _ in range(3):
        logits = advance(runtime, lines, 1)

    assert_agrees(spec, weights, lines[1], logits[1])


@LOWERINGS
def test_it_runs_on_the_drivers_own_calls(
    load: Callable[..., TensorRTRuntime],
    cuda: ctypes.CDLL,
    spec: ModelSpec,
    weights: Weights,
    lowering: Lowering,
):
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    runtime = load(lowering, device=PlayedGpu(GPU))
    lines = lines_for(spec, lowering)
    for _ in range(3):
        for line, logits in zip(lines, advance(runtime, lines, 100), strict=True):
            assert_agrees(spec, weights, line, logits)
            line.tokens.append(7)
    runtime.close()

    assert cuda.fake_alive() == 0


@LOWERINGS
def test_copied_blocks_continue_as_their_source(
    load: Callable[..., TensorRTRuntime], spec: ModelSpec, weights: Weights, lowering: Lowering
):
    runtime, lines = load(lowering), lines_for(spec, lowering)
    source = lines[0]
    advance(runtime, lines[:2], 100)
    per_block = runtime.block_size
    used = -(-source.done // per_block)
    twin = Line([*source.tokens, 3], lines[2].blocks, source.done)
    runtime.copy_blocks(
        [
            BlockCopy(old, new, min(per_block, source.done - at * per_block))
            for at, (old, new) in enumerate(zip(source.blocks[:used], twin.blocks, strict=False))
        ]
    )
    source.tokens.append(9)
    logits = advance(runtime, [twin, source], 1)

    assert_agrees(spec, weights, twin, logits[0])
    assert_agrees(spec, weights, source, logits[1])


@LOWERINGS
def test_a_level_of_sleep_gives_up_the_device_and_waking_brings_it_back(
    spec: ModelSpec, weights: Weights, lowering: Lowering
):
    device = HostDevice()
    runtime = new_runtime(lowering, device=device)
    runtime.load(spec, weights)
    runtime.allocate_kv(BLOCKS[lowering])
    runtime.sleep(SleepLevel.HOST_WEIGHTS)

    assert device.free_bytes() == device.memory_bytes
    with pytest.raises(RuntimeFailedError, match="call load, or wake"):
        runtime.allocate_kv(4)

    runtime.wake()
    runtime.allocate_kv(BLOCKS[lowering])
    lines = lines_for(spec, lowering)

    assert_agrees(spec, weights, lines[1], advance(runtime, lines[:2], 100)[1])
    assert list(runtime.phases) == ["deserialize", "kv", "warm_up"]


def test_waking_goes_on_where_it_failed_for_lack_of_memory(
    spec: ModelSpec, weights: Weights, load: Callable[..., TensorRTRuntime]
):
    runtime = load(Lowering.HOSTKV)
    runtime.sleep(SleepLevel.HOST_WEIGHTS)
    runtime.wake()
    with pytest.raises(RuntimeFailedError, match="KV blocks do not fit"):
        runtime.allocate_kv(10**9)

    runtime.wake()
    runtime.allocate_kv(BLOCKS[Lowering.HOSTKV])
    lines = lines_for(spec, Lowering.HOSTKV)

    assert_agrees(spec, weights, lines[1], advance(runtime, lines[:2], 100)[1])


def test_from_the_deeper_sleep_only_loading_helps(load: Callable[..., TensorRTRuntime]):
    runtime = load(Lowering.HOSTKV)
    runtime.sleep(SleepLevel.NOTHING)

    with pytest.raises(RuntimeFailedError, match="nothing to wake: call load"):
        runtime.wake()


def test_a_second_start_reads_the_engine_that_the_first_compiled(
    tmp_path: Path, spec: ModelSpec, weights: Weights
):
    library = HostLibrary()
    settings = dataclasses.replace(SETTINGS, cache=tmp_path)
    first, second = (new_runtime(settings=settings, library=library) for _ in range(2))
    first.load(spec, weights)
    second.load(spec, weights)

    assert len(library.compiled) == 1
    assert "build" in first.phases
    assert "build" not in second.phases


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"gpu": dataclasses.replace(GPU, architecture=(12, 0))}, id="architecture"),
        pytest.param({"lowering": Lowering.KVUPDATE}, id="lowering"),
        pytest.param(
            {"settings": RuntimeSettings(precision=Precision.FP16, block_size=8)}, id="precision"
        ),
    ],
)
def test_an_engine_of_something_else_is_not_taken(
    tmp_path: Path, spec: ModelSpec, weights: Weights, change: dict[str, object]
):
    library = HostLibrary()
    settings = dataclasses.replace(SETTINGS, cache=tmp_path)
    new_runtime(settings=settings, library=library).load(spec, weights)
    change = {"settings": settings, **change}
    change["settings"] = dataclasses.replace(change["settings"], cache=tmp_path)
    new_runtime(library=library, **change).load(spec, weights)

    assert len(library.compiled) == 2


def test_other_weights_are_another_engine(tmp_path: Path, spec: ModelSpec, weights: Weights):
    library = HostLibrary()
    settings = dataclasses.replace(SETTINGS, cache=tmp_path)
    new_runtime(settings=settings, library=library).load(spec, weights)
    other = {name: array.copy() for name, array in weights.items()}
    other["model.norm.weight"][0] += 1
    new_runtime(settings=settings, library=library).load(spec, other)

    assert len(library.compiled) == 2


def test_an_engine_that_the_library_refuses_is_built_anew(
    tmp_path: Path, spec: ModelSpec, weights: Weights
):
    class Spoiling(HostLibrary):
        def compile(self, model: object, profiles: object, gpu: Gpu) -> bytes:
            plan = super().compile(model, profiles, gpu)
            return plan if len(self.compiled) > 1 else b"no engine"

    library = Spoiling()
    settings = dataclasses.replace(SETTINGS, cache=tmp_path)
    with pytest.raises(RuntimeFailedError, match="refuses"):
        new_runtime(settings=settings, library=library).load(spec, weights)
    new_runtime(settings=settings, library=library).load(spec, weights)
    new_runtime(settings=settings, library=library).load(spec, weights)

    assert len(library.compiled) == 2


def test_a_budget_that_the_weights_pass_is_refused_with_the_numbers(
    spec: ModelSpec, weights: Weights
):
    runtime = new_runtime(settings=dataclasses.replace(SETTINGS, memory_bytes=50_000))

    with pytest.raises(RuntimeFailedError, match=r"does not fit: 0\.00 GiB of weights"):
        runtime.load(spec, weights)


def test_kv_is_refused_beyond_the_budget_and_granted_up_to_it(spec: ModelSpec, weights: Weights):
    runtime = new_runtime(settings=dataclasses.replace(SETTINGS, memory_bytes=3_000_000))
    runtime.load(spec, weights)
    fit = runtime.memory_left // runtime.block_bytes

    with pytest.raises(RuntimeFailedError, match=f"{fit + 1} KV blocks do not fit.*{fit} blocks"):
        runtime.allocate_kv(fit + 1)
    runtime.allocate_kv(fit)


def test_phases_of_a_start_are_numbers_and_spans(spec: ModelSpec, weights: Weights):
    spans = InMemorySpanExporter()
    tracing = open_tracing("test", instance="one", exporter=spans)
    runtime = new_runtime(clock=ManualClock(), tracer=tracing.tracer)
    runtime.load(spec, weights)
    runtime.allocate_kv(4)
    tracing.close()

    phases = ["device", "graph", "build", "deserialize", "kv", "warm_up"]
    assert list(runtime.phases) == phases
    assert [span.name for span in spans.get_finished_spans()] == [f"runtime.{p}" for p in phases]


@pytest.mark.parametrize("lowering", [Lowering.PAGED, Lowering.HOSTKV])
def test_pools_are_never_written_by_the_graph(
    spec: ModelSpec, weights: Weights, lowering: Lowering
):
    """TensorRT would copy the whole pool: the runtime appends instead."""
    runtime = new_runtime(lowering)
    runtime.load(spec, weights)
    graph = runtime._form().build(weights, None).graph

    assert all("_out" not in output.name for output in graph.output)
    assert not [node for node in graph.node if node.op_type == "ScatterND"]


@LOWERINGS
def test_the_graph_has_no_inputs_of_64_bits_and_none_that_tensorrt_ignores(
    spec: ModelSpec, weights: Weights, lowering: Lowering
):
    runtime = new_runtime(lowering)
    runtime.load(spec, weights)
    graph = runtime._form().build(weights, None).graph
    attentions = [node for node in graph.node if node.op_type == "Attention"]

    assert not [one.name for one in graph.input if one.type.tensor_type.elem_type == 7]
    assert all(len(node.input) == 4 for node in attentions)  # query, keys, values, mask


@pytest.mark.parametrize("lowering", [Lowering.GQA, Lowering.ROWS])
def test_a_lowering_of_onnx_runtime_alone_is_refused(
    spec: ModelSpec, weights: Weights, lowering: Lowering
):
    with pytest.raises(RuntimeFailedError, match=f"{lowering} .* use kvupdate or hostkv"):
        new_runtime(lowering).load(spec, weights)


def test_fp8_is_refused_where_the_gpu_has_none(spec: ModelSpec, weights: Weights):
    settings = dataclasses.replace(SETTINGS, precision=Precision.FP8)
    old = dataclasses.replace(GPU, architecture=(8, 6))

    with pytest.raises(RuntimeFailedError, match=r"fp8 needs .* SM86: use int8"):
        new_runtime(settings=settings, gpu=old).load(spec, weights)


@pytest.mark.parametrize("field", ["tokens", "positions"])
def test_a_batch_that_makes_no_sense_fails_as_a_runtime_failure(
    load: Callable[..., TensorRTRuntime], spec: ModelSpec, field: str
):
    runtime = load(Lowering.HOSTKV)
    batch = batch_of(lines_for(spec, Lowering.HOSTKV)[:1], 9, runtime.block_size)
    wrong = dataclasses.replace(batch, **{field: getattr(batch, field) + 1000})

    with pytest.raises(RuntimeFailedError, match=f"expected each {field[:-1]} within"):
        runtime.step(wrong)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda runtime: runtime.block_size, id="block_size"),
        pytest.param(lambda runtime: runtime.allocate_kv(4), id="allocate_kv"),
        pytest.param(lambda runtime: runtime.sleep(SleepLevel.NOTHING), id="sleep"),
    ],
)
def test_before_loading_every_call_says_what_to_do(call: Callable[[TensorRTRuntime], object]):
    with pytest.raises(RuntimeFailedError, match="call load"):
        call(new_runtime())


@LOWERINGS
@pytest.mark.parametrize("most", [1, 7, 100])
def test_images_take_the_place_of_tokens_however_a_batch_is_cut(
    spec: ModelSpec, weights: Weights, lowering: Lowering, most: int
):
    """Embeddings of other tokens, given as an image's, must give what those tokens give."""
    seeing = dataclasses.replace(spec, image_token=3)
    runtime = new_runtime(lowering)
    runtime.load(seeing, weights)
    runtime.allocate_kv(BLOCKS[lowering])
    lines = lines_for(spec, lowering)[:3]
    table = weights["model.embed_tokens.weight"].astype(np.float32)
    while lines:
        plain = batch_of(lines, most, runtime.block_size)
        hidden = np.flatnonzero(np.arange(plain.tokens.size) % 3 == 1)
        tokens = plain.tokens.copy()
        tokens.reshape(-1)[hidden] = seeing.image_token
        images = ImageRows(hidden, table[plain.tokens.reshape(-1)[hidden]])
        logits = runtime.step(dataclasses.replace(plain, tokens=tokens, images=images))
        for line, last, row in zip(lines, plain.last, logits, strict=True):
            line.done += int(last) + 1
            assert_agrees(spec, weights, line, row)
        lines = [line for line in lines if line.done < len(line.tokens)]


@LOWERINGS
def test_padding_at_the_end_of_the_context_harms_nobody(
    load: Callable[..., TensorRTRuntime], spec: ModelSpec, weights: Weights, lowering: Lowering
):
    runtime = load(lowering)
    per_line = -(-spec.positions // runtime.block_size)
    blocks = [list(range(1 + at * per_line, 1 + (at + 1) * per_line)) for at in range(2)]
    full, other = random_lines(spec.vocabulary, [spec.positions, 60], blocks)
    full.tokens, rest = full.tokens[:-2], full.tokens[-2:]
    advance(runtime, [full], spec.positions)
    advance(runtime, [other], 45)
    full.tokens += rest
    logits = advance(runtime, [full, other], 15)

    assert_agrees(spec, weights, full, logits[0])
    assert_agrees(spec, weights, other, logits[1])


def test_rows_that_a_batch_is_padded_with_keep_what_they_hold(
    load: Callable[..., TensorRTRuntime], spec: ModelSpec, weights: Weights
):
    runtime = load(Lowering.KVUPDATE)
    lines = random_lines(spec.vocabulary, [30] * 4, [[1], [2], [3], [4]])
    advance(runtime, lines, 100)
    for line in lines:
        line.tokens.append(5)
    advance(runtime, lines[:3], 1)  # in a call of four rows

    assert_agrees(spec, weights, lines[3], advance(runtime, lines[3:], 1)[0])
