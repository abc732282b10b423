from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inference.engine.forward import batch_of
from inference.engine.scheduler import Chunk
from inference.engine.sequence import Request, Sequence
from inference.models.checkpoint import Weights, load_weights
from inference.models.reference import reference_logits
from inference.models.spec import ModelSpec, load_spec
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.runtime import Runtime, RuntimeFailedError

BLOCKS = 64
BLOCK_SIZE = 8


@pytest.fixture
def runtime(spec: ModelSpec, weights: Weights) -> Runtime:
    return loaded(spec, weights)


def loaded(spec: ModelSpec, weights: Weights) -> Runtime:
    runtime = OnnxRuntime(block_size=BLOCK_SIZE)
    runtime.load(spec, weights)
    runtime.allocate_kv(BLOCKS)
    return runtime


def sequences_of(spec: ModelSpec, lengths: list[int], seed: int = 1) -> list[Sequence]:
    """Random sequences whose blocks lie scattered over the pool."""
    rng = np.random.default_rng(seed)
    blocks = list(rng.permutation(np.arange(1, BLOCKS)))
    sequences = []
    for length in lengths:
        prompt = tuple(int(one) for one in rng.integers(0, spec.vocabulary, length))
        sequences.append(Sequence(Request("any", prompt, max_tokens=16), arrived=0.0))
        sequences[-1].blocks = [int(blocks.pop()) for _ in range((length + 16) // BLOCK_SIZE + 1)]
    return sequences


def advance(runtime: Runtime, sequences: list[Sequence], most: int) -> np.ndarray:
    """Compute up to `most` tokens of each in one ragged batch."""
    chunks = [
        Chunk(one, one.computed, min(most, one.remaining), is_decode=False) for one in sequences
    ]
    logits = runtime.step(batch_of(chunks, runtime.block_size)).copy()
    for chunk in chunks:
        chunk.sequence.computed = chunk.end
    return logits


def assert_agrees(spec: ModelSpec, weights: Weights, sequence: Sequence, logits: np.ndarray):
    expected = reference_logits(spec, weights, sequence.tokens[: sequence.computed])[-1]

    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-3 * np.abs(expected).max())
    assert int(logits.argmax()) == int(expected.argmax())


@pytest.mark.parametrize("most", [1, 5, 24, 100])
def test_prefill_in_chunks_agrees_with_the_reference(
    runtime: Runtime, spec: ModelSpec, weights: Weights, most: int
):
    waiting = sequences_of(spec, [37, 5, 64, 90])
    while waiting:
        for sequence, logits in zip(waiting, advance(runtime, waiting, most), strict=True):
            assert_agrees(spec, weights, sequence, logits)
        waiting = [one for one in waiting if one.remaining]


def test_decoding_in_a_batch_agrees_with_the_reference(
    runtime: Runtime, spec: ModelSpec, weights: Weights
):
    sequences = sequences_of(spec, [37, 5, 64, 90])
    logits = advance(runtime, sequences, 100)
    for _ in range(9):
        for sequence, row in zip(sequences, logits, strict=True):
            sequence.append(int(row.argmax()))
        logits = advance(runtime, sequences, 1)
        for sequence, row in zip(sequences, logits, strict=True):
            assert_agrees(spec, weights, sequence, row)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"kv_heads": 1}, id="one key-value head"),
        pytest.param({"kv_heads": 4}, id="a key-value head for each"),
        pytest.param({"tied": False, "rope_theta": 500.0}, id="a head of its own"),
        pytest.param({"layers": 1, "head_dim": 8}, id="narrow heads"),
    ],
)
def test_other_shapes_agree_too(new_checkpoint: Callable[..., Path], changes: dict[str, object]):
    folder = new_checkpoint(**changes)
    spec = load_spec(folder)
    weights = load_weights(folder, spec)
    runtime, sequences = loaded(spec, weights), sequences_of(spec, [30, 11])
    while sequences[0].remaining:
        logits = advance(runtime, sequences[:1], 16)
        assert_agrees(spec, weights, sequences[0], logits[0])


def test_a_row_is_the_same_alone_and_in_a_batch(spec: ModelSpec, weights: Weights):
    alone, together = (sequences_of(spec, [20, 41, 33, 7]) for _ in range(2))
    runtime = loaded(spec, weights)
    apart = [advance(runtime, [one], 20)[0] for one in alone]
    batched = advance(loaded(spec, weights), together, 20)

    np.testing.assert_allclose(batched, np.array(apart), rtol=0, atol=1e-4)


def test_pools_are_updated_in_place(runtime: Runtime, spec: ModelSpec):
    assert isinstance(runtime, OnnxRuntime)
    before = {name: pool.ctypes.data for name, pool in runtime._pools.items()}
    advance(runtime, sequences_of(spec, [9]), 9)

    assert {name: pool.ctypes.data for name, pool in runtime._pools.items()} == before
    assert all(pool.any() for pool in runtime._pools.values())


def test_stepping_before_loading_says_what_to_do(spec: ModelSpec):
    with pytest.raises(RuntimeFailedError, match="call load first"):
        OnnxRuntime().allocate_kv(4)


def test_a_batch_that_makes_no_sense_fails_as_a_runtime_failure(runtime: Runtime, spec: ModelSpec):
    (sequence,) = sequences_of(spec, [9])
    sequence.tokens[3] = spec.vocabulary + 100

    with pytest.raises(RuntimeFailedError, match="failed in a step"):
        advance(runtime, [sequence], 9)
