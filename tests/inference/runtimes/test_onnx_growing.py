"""Rows that grow and shrink hold what was written, and answer as ever."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.models.checkpoint import Weights
from inference.models.precision import Lowering, Precision
from inference.models.reference import reference_logits
from inference.models.spec import ModelSpec
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.onnx_growing import PATIENCE, STEP, SplitRows
from inference.runtimes.onnx_memory import HostMemory
from inference.runtimes.runtime import BlockCopy, RuntimeSettings
from tests.inference.conftest import tiny
from tests.inference.runtimes.driving import Line, advance, random_lines

BLOCKS = 5
SPEC = dataclasses.replace(tiny("llama"), positions=200)  # no multiple of a step


@pytest.fixture
def runtime(spec: ModelSpec, weights: Weights) -> OnnxRuntime:
    runtime = OnnxRuntime(RuntimeSettings(lowering=Lowering.ROWS, precision=Precision.FP32))
    runtime.load(spec, weights)
    runtime.allocate_kv(BLOCKS)
    return runtime


def length_of(runtime: OnnxRuntime) -> int:
    return runtime._kv.cache._rows.length


def assert_right(spec: ModelSpec, weights: Weights, lines: list[Line], logits: np.ndarray) -> None:
    for line, row in zip(lines, logits, strict=True):
        expected = reference_logits(spec, weights, line.tokens[: line.done])[-1]
        np.testing.assert_allclose(row, expected, atol=2e-4)


def test_answers_stay_right_as_rows_grow_shrink_and_grow_again(
    runtime: OnnxRuntime, spec: ModelSpec, weights: Weights
):
    long, *short = lines = random_lines(spec.vocabulary, [160, 50, 70], [[3], [1], [4]])
    assert_right(spec, weights, lines, advance(runtime, lines, 30))
    assert length_of(runtime) == STEP
    assert_right(spec, weights, [long], advance(runtime, [long], 120))
    assert length_of(runtime) == 3 * STEP

    again = dataclasses.replace(short[0], done=29, tokens=short[0].tokens[:30])
    while length_of(runtime) > STEP:
        advance(runtime, [again], 1)
        again.done = 29
    assert_right(spec, weights, short, advance(runtime, short, 10))  # the long row waits
    assert length_of(runtime) == STEP
    assert_right(spec, weights, lines, advance(runtime, lines, 10))
    assert length_of(runtime) == 3 * STEP


def test_a_long_row_is_copied_whole_where_rows_are_short(
    runtime: OnnxRuntime, spec: ModelSpec, weights: Weights
):
    long, short = random_lines(spec.vocabulary, [150, 9], [[2], [1]])
    advance(runtime, [long], 149)
    while length_of(runtime) > STEP:
        advance(runtime, [dataclasses.replace(short, done=8)], 1)
    runtime.copy_blocks([BlockCopy(2, 4, 149)])
    both = [long, dataclasses.replace(long, blocks=[4])]

    assert_right(spec, weights, both, advance(runtime, both, 1))


@pytest.mark.parametrize("length", [STEP - 1, STEP, STEP + 1])
def test_padding_is_never_written_where_a_token_lies(
    runtime: OnnxRuntime, spec: ModelSpec, weights: Weights, length: int
):
    one, other = random_lines(spec.vocabulary, [length + 1, 40], [[1], [2]])
    advance(runtime, [one], length - 2)
    held = one.tokens.pop()
    beside = advance(runtime, [one, other], 20)  # two tokens beside twenty, hence padding
    assert_right(spec, weights, [one, other], beside)
    one.tokens.append(held)

    assert_right(spec, weights, [one], advance(runtime, [one], 1))


def test_one_token_gets_the_same_bits_beside_longer_chunks(runtime: OnnxRuntime, spec: ModelSpec):
    one, other = random_lines(spec.vocabulary, [50, 40], [[1], [2]])
    advance(runtime, [one], 49)
    (beside, _), (alone,) = (
        advance(runtime, [dataclasses.replace(one), other], 30),
        advance(runtime, [one], 1),
    )

    np.testing.assert_array_equal(beside, alone)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 200)), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_no_move_of_the_split_loses_a_token(writes: list[tuple[int, int]]):
    rows = SplitRows(SPEC, HostMemory(np.dtype(np.float32)), blocks=BLOCKS)
    used, held = np.zeros(BLOCKS, np.int64), np.zeros((BLOCKS, SPEC.positions))
    for number, (row, needed) in enumerate(writes, 1):
        rows.fit(needed, used)
        for tensor in rows.tensors(row, 1, ""):
            assert tensor.shape == (SPEC.kv_heads * rows.length, SPEC.head_dim)
        for front, _ in rows._parts:
            front[row, :, :needed] = number
        held[row, :needed] = number
        used[row] = max(used[row], needed)
        for _ in range(PATIENCE):
            rows.fit(1, used)
        assert rows.length <= max(STEP, 2 * needed)
        for front, rest in rows._parts:
            there = np.concatenate([front, rest], axis=2)
            for one in range(BLOCKS):
                assert (there[one, :, : used[one]] == held[one, None, : used[one], None]).all()
