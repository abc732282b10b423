"""What is ONNX Runtime's own; what every runtime promises is held in tests/contracts."""

import ctypes
import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from inference.models.checkpoint import Weights
from inference.models.graph.attention import kv_names
from inference.models.graph.decoder import build_decoder
from inference.models.precision import Lowering, Precision
from inference.models.quantized import Quantization
from inference.models.spec import ModelSpec
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.onnx_cache import Tensor
from inference.runtimes.onnx_memory import DeviceMemory, HostMemory, copying_graph
from inference.runtimes.onnx_session import Provider, StoredGraph
from inference.runtimes.onnx_support import numbers, refuse
from inference.runtimes.runtime import (
    BlockCopy,
    RuntimeFailedError,
    RuntimeMissingError,
    RuntimeSettings,
)
from tests.inference.runtimes.driving import Line, advance, batch_of

UPDATING = {  # to what names the memory of one row, the first
    Lowering.PAGED: (1,),
    Lowering.ROWS: (1, 1, 64),
    Lowering.GQA: (1, 1),
    Lowering.KVUPDATE: (1, 1),
}


def loaded(spec: ModelSpec, weights: Weights, **settings: object) -> OnnxRuntime:
    runtime = OnnxRuntime(RuntimeSettings(**settings))
    runtime.load(spec, weights)
    runtime.allocate_kv(17)
    return runtime


def line(length: int, blocks: list[int]) -> Line:
    tokens = np.random.default_rng(length).integers(0, 250, length)
    return Line([int(one) for one in tokens], blocks)


def buffers_of(runtime: OnnxRuntime) -> dict[str, np.ndarray]:
    return runtime._kv.cache._memory.buffers


@pytest.mark.parametrize("lowering", UPDATING)
def test_the_cache_is_updated_where_it_lies(spec: ModelSpec, weights: Weights, lowering: Lowering):
    runtime = loaded(spec, weights, lowering=lowering)
    buffers = buffers_of(runtime)
    advance(runtime, [line(9, [1])], 9)
    bound = runtime._kv.bindings.at(runtime._kv.cache, UPDATING[lowering], 1).binding.get_outputs()
    addresses = {one.data_ptr() for one in bound if one.shape()[-1] == spec.head_dim}

    assert all(buffer.any() for buffer in buffers.values())
    inside = {
        next(name for name, buffer in buffers.items() if lies_in(address, buffer))
        for address in addresses
    }
    assert inside == buffers.keys()


def lies_in(address: int, buffer: np.ndarray) -> bool:
    return 0 <= address - buffer.ctypes.data < buffer.nbytes


@pytest.mark.parametrize("lowering", UPDATING)
def test_only_the_slots_of_new_tokens_are_written(
    spec: ModelSpec, weights: Weights, lowering: Lowering
):
    runtime = loaded(spec, weights, lowering=lowering)
    for buffer in buffers_of(runtime).values():
        buffer[:] = 7.0
    advance(runtime, [line(9, [3])], 9)

    for buffer in buffers_of(runtime).values():
        assert (buffer != 7.0).sum() == 9 * spec.kv_heads * spec.head_dim


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT4])
@pytest.mark.parametrize("lowering", Lowering)
def test_no_product_is_left_with_a_dequantised_matrix(
    spec: ModelSpec, weights: Weights, lowering: Lowering, precision: Precision, tmp_path: Path
):
    runtime = loaded(spec, weights, lowering=lowering, precision=precision)
    options = runtime._session.get_session_options()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(runtime._model.graph._source, options)
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]

    assert kinds.count("MatMulNBits") == 5 * spec.layers + 1
    assert "DequantizeLinear" not in kinds


@pytest.mark.parametrize("lowering", [Lowering.ROWS, Lowering.GQA])
def test_rows_that_stay_together_are_not_bound_anew(
    spec: ModelSpec, weights: Weights, lowering: Lowering
):
    runtime = loaded(spec, weights, lowering=lowering)
    decodes, prefill = [line(9, [2]), line(12, [5])], [line(40, [9])]
    advance(runtime, decodes, 5)
    advance(runtime, prefill, 10)
    bound = dict(runtime._kv.bindings._bound)
    for _ in range(3):
        advance(runtime, decodes, 1)
        advance(runtime, prefill, 10)

    assert runtime._kv.bindings._bound == bound


@pytest.mark.parametrize("lowering", [Lowering.PAGED, Lowering.HOSTKV])
def test_a_batch_may_be_written_to_once_it_is_computed(
    spec: ModelSpec, weights: Weights, lowering: Lowering
):
    runtime = loaded(spec, weights, lowering=lowering)
    batch = batch_of([line(2, [1]), line(2, [2])], 2, runtime.block_size)
    strided = dataclasses.replace(batch, tokens=np.asfortranarray(batch.tokens))
    for one in (batch, batch, strided, strided, batch):
        one.tokens[:] += 1
        found = runtime.step(one)
        fresh = dataclasses.replace(one, tokens=one.tokens.copy(order="C"))

        np.testing.assert_array_equal(found, loaded(spec, weights, lowering=lowering).step(fresh))


def test_short_contexts_are_not_padded_to_long_ones(spec: ModelSpec, weights: Weights):
    wide = dataclasses.replace(spec, positions=4096)
    runtime = OnnxRuntime(RuntimeSettings(precision=Precision.FP32))
    runtime.load(wide, weights)
    runtime.allocate_kv(3000)
    short = [line(20, [1 + 2 * at, 2 + 2 * at]) for at in range(16)]
    long = line(4000, list(range(100, 351)))
    for one in [*short, long]:
        one.done = len(one.tokens) - 1
    parts = runtime._kv.cache.parts(batch := batch_of([*short, long], 1, 16))

    assert [len(rows) for rows in parts] == [16, 1]
    alone = [runtime.step(batch_of([one], 1, 16))[0].copy() for one in [*short, long]]
    np.testing.assert_array_equal(runtime.step(batch), alone)


def test_a_large_graph_is_opened_from_a_folder(spec: ModelSpec, weights: Weights):
    model = build_decoder(spec, weights, block_size=16)
    stored = [StoredGraph(model), StoredGraph(model, limit=0)]
    inputs = {
        "tokens": [[3, 4]],
        "positions": [[0, 1]],
        "slots": [[16, 17]],
        "block_tables": [[1]],
        "last_rows": [1],
    } | dict.fromkeys(kv_names(spec), np.zeros((64, spec.head_dim), np.float32))
    whole, in_folder = (
        one.open(Provider.CPU, RuntimeSettings()).run(
            ["logits"],
            {name: np.array(value) for name, value in inputs.items()},
        )[0]
        for one in stored
    )

    assert stored[0].size == stored[1].size > 0
    np.testing.assert_array_equal(in_folder, whole)


def test_a_provider_that_is_not_there_says_what_to_install():
    if Provider.CUDA.library_name in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(
        RuntimeMissingError, match=r"not CUDAExecutionProvider: .*warmfront\[gpu\]"
    ):
        OnnxRuntime(provider=Provider.CUDA)


@pytest.mark.parametrize(
    ("asked", "provider", "precision", "kind"),
    [
        pytest.param(None, Provider.CPU, Precision.INT8, np.float32, id="usual on the CPU"),
        pytest.param(None, Provider.CUDA, Precision.FP16, np.float16, id="usual on CUDA"),
        pytest.param(Precision.FP32, Provider.CUDA, Precision.FP32, np.float32, id="as asked"),
        pytest.param(Precision.INT4, Provider.CUDA, Precision.INT4, np.float16, id="by kernels"),
        pytest.param(Precision.INT4, Provider.CPU, Precision.INT4, np.float32, id="of the CPU"),
    ],
)
def test_precision_is_as_asked_or_the_providers_usual_one(
    spec: ModelSpec, asked: Precision | None, provider: Provider, precision: Precision, kind: type
):
    chosen = numbers(RuntimeSettings(precision=asked), spec, provider)

    assert (chosen.precision, chosen.kind) == (precision, np.dtype(kind))


def test_a_quantised_checkpoint_is_run_in_its_own_precision(spec: ModelSpec):
    quantised = dataclasses.replace(spec, quantization=Quantization(Precision.INT4, 32))

    assert numbers(RuntimeSettings(), quantised, Provider.CPU).precision is Precision.INT4


@pytest.mark.parametrize("precision", [Precision.BF16])
def test_a_precision_without_kernels_is_refused(
    spec: ModelSpec, weights: Weights, precision: Precision
):
    with pytest.raises(RuntimeFailedError, match=f"no {precision} kernels on cpu"):
        loaded(spec, weights, precision=precision)


def test_heads_that_gqa_cannot_take_are_refused(spec: ModelSpec, weights: Weights):
    narrow = dataclasses.replace(spec, head_dim=8)

    with pytest.raises(RuntimeFailedError, match=r"multiple of 16, .* has 8: choose paged"):
        loaded(narrow, weights, lowering=Lowering.GQA)


@pytest.mark.parametrize("lowering", [Lowering.HOSTKV, Lowering.ROWS])
def test_lowerings_that_need_host_memory_are_refused_on_a_gpu(spec: ModelSpec, lowering: Lowering):
    with pytest.raises(RuntimeFailedError, match=f"{lowering} needs its KV in host memory"):
        refuse(spec, lowering, Precision.FP16, provider=Provider.CUDA)


def test_a_memory_budget_holds_for_weights_and_kv_together(spec: ModelSpec, weights: Weights):
    plenty = loaded(spec, weights)
    needed = plenty._model.graph.size + 17 * plenty.block_bytes

    loaded(spec, weights, memory_bytes=needed)
    with pytest.raises(RuntimeFailedError, match=f"the budget of {needed - 1} bytes"):
        loaded(spec, weights, memory_bytes=needed - 1)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_memory_on_a_device_is_copied_as_that_of_the_host(kind: type):
    """The device is the CPU here: what differs is that only ONNX Runtime reaches the memory."""
    session = onnxruntime.InferenceSession(copying_graph(np.dtype(kind)))
    memories = HostMemory(np.dtype(kind)), DeviceMemory(np.dtype(kind), "cpu", 0, session)
    drawn = np.random.default_rng(1).standard_normal((2 * 6 * 4, 8)).astype(kind)
    held = []
    for memory in memories:
        memory.allocate(["keys", "values"], drawn.shape, by_block)
        held.append([raw(memory.tensor(name), kind) for name in ("keys", "values")])
        for array in held[-1]:
            array[:] = drawn
        memory.copy([BlockCopy(1, 3, 4), BlockCopy(3, 5, 2), BlockCopy(2, 1, 0)])

    np.testing.assert_array_equal(held[0], held[1])
    np.testing.assert_array_equal(by_block(held[1][0])[3], by_block(drawn)[1])
    np.testing.assert_array_equal(by_block(held[1][1])[5, :, :2], by_block(drawn)[1, :, :2])
    np.testing.assert_array_equal(by_block(held[1][1])[5, :, 2:], by_block(drawn)[5, :, 2:])


def by_block(pool: np.ndarray) -> np.ndarray:
    return pool.reshape(2, 6, 4, -1).swapaxes(0, 1)


def raw(tensor: Tensor, kind: type) -> np.ndarray:
    """Look at memory by its address, as the library does."""
    size = int(np.prod(tensor.shape)) * np.dtype(kind).itemsize
    held = (ctypes.c_byte * size).from_address(tensor.address)
    return np.frombuffer(held, kind).reshape(tensor.shape)
