"""What every runtime promises the engine, held against the decoder in plain NumPy."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from inference.models.checkpoint import Weights
from inference.models.graph.matrices import INT4, INT8, rounded
from inference.models.precision import Lowering, Precision
from inference.models.reference import reference_logits
from inference.models.spec import ModelSpec
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.runtime import (
    BlockCopy,
    ImageRows,
    Runtime,
    RuntimeFailedError,
    RuntimeSettings,
    SleepLevel,
)
from tests.inference.conftest import FAMILIES, random_tensors, tiny
from tests.inference.runtimes.driving import Line, advance, batch_of, random_lines

TOKENS = 1024  # room in the KV cache, at least
LENGTHS = [37, 5, 64, 90]
WHOLE = {Precision.INT8: INT8, Precision.INT4: INT4}

NewRuntime = Callable[[], Runtime]


def onnx(lowering: Lowering, precision: Precision) -> NewRuntime:
    settings = RuntimeSettings(lowering=lowering, precision=precision, block_size=16)
    return lambda: OnnxRuntime(settings)


EXACT = {f"onnx-{one}": onnx(one, Precision.FP32) for one in Lowering}
ROUNDED = {
    f"onnx-{one}-{precision}": (onnx(one, precision), precision)
    for one in Lowering
    for precision in WHOLE
}
ALL = EXACT | {name: make for name, (make, _) in ROUNDED.items()}


def each(runtimes: dict[str, object]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("new", runtimes.values(), ids=runtimes)


def model(family: str = "llama", **changes: object) -> tuple[ModelSpec, Weights]:
    spec = dataclasses.replace(tiny(family), **changes)
    tensors = random_tensors(spec, seed=7)
    return spec, {name: array.astype(np.float32) for name, array in tensors.items()}


SPEC, WEIGHTS = model()


def loaded(new: NewRuntime, spec: ModelSpec = SPEC, weights: Weights = WEIGHTS) -> Runtime:
    runtime = new()
    runtime.load(spec, weights)
    allocate(runtime)
    return runtime


def allocate(runtime: Runtime, tokens: int = TOKENS) -> None:
    runtime.allocate_kv(1 + max(8, tokens // runtime.block_size))


def lines_on(runtime: Runtime, lengths: list[int], spec: ModelSpec = SPEC) -> list[Line]:
    """Random sequences whose blocks lie scattered over the cache."""
    count = max(8, TOKENS // runtime.block_size)
    free = list(np.random.default_rng(3).permutation(np.arange(1, count + 1)))
    owned = [
        [int(free.pop()) for _ in range(-(-length // runtime.block_size))] for length in lengths
    ]
    return random_lines(spec.vocabulary, lengths, owned)


def in_chunks(runtime: Runtime, lines: list[Line], most: int = 24) -> dict[int, np.ndarray]:
    """Compute every line to its end, the last token by itself; return the last logits of each."""
    for line in lines:
        line.tokens, line.rest = line.tokens[:-1], line.tokens[-1:]
    while waiting := [line for line in lines if line.done < len(line.tokens)]:
        advance(runtime, waiting, most)
    for line in lines:
        line.tokens += line.rest
    return dict(enumerate(advance(runtime, lines, 1)))


def assert_close(expected: np.ndarray, logits: np.ndarray, share: float = 1e-5) -> None:
    np.testing.assert_allclose(logits, expected, rtol=0, atol=share * np.abs(expected).max())


@each(EXACT)
@pytest.mark.parametrize("most", [1, 5, 24, 100])
def test_prefill_in_chunks_agrees_with_the_reference(new: NewRuntime, most: int):
    runtime = loaded(new)
    waiting = lines = lines_on(runtime, LENGTHS)
    expected = [reference_logits(SPEC, WEIGHTS, line.tokens) for line in lines]
    while waiting:
        for line, logits in zip(waiting, advance(runtime, waiting, most), strict=True):
            assert_close(expected[lines.index(line)][line.done - 1], logits)
        waiting = [line for line in waiting if line.done < len(line.tokens)]


@each(EXACT)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_agrees_with_the_reference(new: NewRuntime, family: str):
    spec, weights = model(family)
    runtime = loaded(new, spec, weights)
    lines = lines_on(runtime, LENGTHS, spec)

    for row, logits in in_chunks(runtime, lines).items():
        assert_close(reference_logits(spec, weights, lines[row].tokens)[-1], logits)


@each(EXACT)
@pytest.mark.parametrize("kv_heads", [1, 4])
def test_every_sharing_of_heads_agrees_with_the_reference(new: NewRuntime, kv_heads: int):
    spec, weights = model(kv_heads=kv_heads)
    runtime = loaded(new, spec, weights)
    lines = lines_on(runtime, LENGTHS)

    for row, logits in in_chunks(runtime, lines).items():
        assert_close(reference_logits(spec, weights, lines[row].tokens)[-1], logits)


@pytest.mark.parametrize(("new", "precision"), ROUNDED.values(), ids=ROUNDED)
def test_weights_in_whole_numbers_answer_as_the_rounded_model(
    new: NewRuntime, precision: Precision
):
    spec, weights = in_whole_numbers(SPEC, WEIGHTS, precision)
    runtime = loaded(new)
    lines = lines_on(runtime, LENGTHS)

    for row, logits in in_chunks(runtime, lines).items():
        expected = reference_logits(spec, weights, lines[row].tokens)[-1]
        cosine = expected @ logits / np.linalg.norm(expected) / np.linalg.norm(logits)
        assert cosine > 0.99  # what rounding the inputs of products leaves


def in_whole_numbers(
    spec: ModelSpec, weights: Weights, precision: Precision
) -> tuple[ModelSpec, Weights]:
    """Return the model that the rounded matrices stand for; only its output layer is untied."""
    matrices = {name: w for name, w in weights.items() if name.endswith("_proj.weight")}
    matrices["lm_head.weight"] = weights["model.embed_tokens.weight"]
    exact = {name: rounded(w.T, WHOLE[precision]).T for name, w in matrices.items()}
    return dataclasses.replace(spec, tied=False), dict(weights) | exact


@each(ALL)
def test_a_row_is_the_same_to_the_bit_alone_and_in_a_batch(new: NewRuntime):
    runtime = loaded(new)
    together = in_chunks(runtime, lines_on(runtime, LENGTHS))
    allocate(runtime)
    for row, line in enumerate(lines_on(runtime, LENGTHS)):
        np.testing.assert_array_equal(in_chunks(runtime, [line])[0], together[row])


@each(ALL)
def test_a_larger_cache_changes_nothing(new: NewRuntime):
    runtime = loaded(new)
    small = in_chunks(runtime, lines_on(runtime, LENGTHS))
    allocate(runtime, 4 * TOKENS)
    large = in_chunks(runtime, lines_on(runtime, LENGTHS))

    np.testing.assert_array_equal(list(small.values()), list(large.values()))


@each(EXACT)
def test_a_context_may_be_filled_to_its_end_beside_a_long_chunk(new: NewRuntime):
    runtime = loaded(new)
    full, fresh = lines_on(runtime, [SPEC.positions, 40])
    advance(runtime, [full], SPEC.positions - 3)
    logits = advance(runtime, [full, fresh], 24)  # 3 tokens of one, 24 of the other

    for line, row in zip([full, fresh], logits, strict=True):
        assert_close(reference_logits(SPEC, WEIGHTS, line.tokens[: line.done])[-1], row)


@each(ALL)
def test_a_copied_prefix_serves_another_sequence(new: NewRuntime):
    runtime = loaded(new)
    first, second = lines_on(runtime, [30, 41])
    second.tokens[:20] = first.tokens[:20]
    advance(runtime, [first], 30)
    size = runtime.block_size
    runtime.copy_blocks(
        [
            BlockCopy(source, target, min(20 - at * size, size))
            for at, (source, target) in enumerate(zip(first.blocks, second.blocks, strict=False))
            if at * size < 20
        ]
    )
    second.done = 20
    copied = advance(runtime, [first_again(first), second], 100)

    other = lines_on(runtime, [1, 41])[1]
    other.tokens = second.tokens
    advance(runtime, [other], 20)
    np.testing.assert_array_equal(copied[1], advance(runtime, [other], 100)[0])


def first_again(line: Line) -> Line:
    """Compute the last token once more: what it wrote must not have moved."""
    return dataclasses.replace(line, done=len(line.tokens) - 1)


@pytest.mark.parametrize("lowering", [one for one in Lowering if one.is_paged])
def test_sequences_share_the_blocks_of_a_prefix(lowering: Lowering):
    runtime = loaded(onnx(lowering, Precision.FP32))
    first, second = lines_on(runtime, [30, 41])
    second.tokens[:16] = first.tokens[:16]
    second.blocks[:1] = first.blocks[:1]  # of 16 tokens
    advance(runtime, [first], 30)
    second.done = 16
    logits = advance(runtime, [first_again(first), second], 100)

    for line, row in zip([first, second], logits, strict=True):
        assert_close(reference_logits(SPEC, WEIGHTS, line.tokens)[-1], row)


@each(ALL)
def test_images_stand_in_for_the_tokens_of_their_rows(new: NewRuntime):
    spec, weights = model("llava")
    runtime = loaded(new, spec, weights)
    lines = lines_on(runtime, [12, 9, 20], spec)
    values = np.random.default_rng(1).standard_normal((5, spec.hidden)).astype(np.float32)
    batch = batch_of(lines, 20, runtime.block_size)
    at = np.array([2, 3, 20 + 4, 40 + 0, 40 + 19])  # rows 0, 0, 1, 2 and 2 of width 20
    plain = runtime.step(batch).copy()
    shown = runtime.step(dataclasses.replace(batch, images=ImageRows(at, values))).copy()
    by_hand = [weights["model.embed_tokens.weight"][line.tokens] for line in lines]
    for place, value in zip(at, values, strict=True):
        by_hand[place // 20][place % 20] = value

    assert (plain != shown).any(axis=1).all()
    if new in EXACT.values():
        for line, embeddings, row in zip(lines, by_hand, shown, strict=True):
            images = dict(enumerate(embeddings))
            assert_close(reference_logits(spec, weights, line.tokens, images=images)[-1], row)


@each(ALL)
def test_sleep_and_wake_give_the_same_answers(new: NewRuntime):
    runtime = loaded(new)
    before = in_chunks(runtime, lines_on(runtime, LENGTHS))
    runtime.sleep(SleepLevel.HOST_WEIGHTS)
    with pytest.raises(RuntimeFailedError, match=r"wake|allocate_kv"):
        advance(runtime, lines_on(runtime, [3]), 3)
    runtime.wake()
    allocate(runtime)
    after = in_chunks(runtime, lines_on(runtime, LENGTHS))

    np.testing.assert_array_equal(list(before.values()), list(after.values()))


@each(EXACT)
def test_the_second_level_gives_up_all(new: NewRuntime):
    runtime = loaded(new)
    runtime.sleep(SleepLevel.NOTHING)

    with pytest.raises(RuntimeFailedError, match="load"):
        runtime.wake()
    runtime.load(SPEC, WEIGHTS)
    allocate(runtime)
    assert advance(runtime, lines_on(runtime, [3]), 3).any()


@each(EXACT)
def test_a_block_takes_the_memory_that_it_says(new: NewRuntime):
    runtime = loaded(new)
    values = 2 * SPEC.layers * SPEC.kv_heads * SPEC.head_dim * runtime.block_size

    assert runtime.block_bytes == values * 4


@each(EXACT)
def test_what_was_not_loaded_says_what_to_do(new: NewRuntime):
    with pytest.raises(RuntimeFailedError, match="load"):
        new().allocate_kv(4)


@each(EXACT)
def test_a_cache_that_no_memory_holds_names_its_bytes(new: NewRuntime):
    runtime = loaded(new)
    blocks = 2**46 // runtime.block_bytes

    with pytest.raises(RuntimeFailedError, match=str(blocks * runtime.block_bytes)):
        runtime.allocate_kv(blocks)
    allocate(runtime)
    assert advance(runtime, lines_on(runtime, [3]), 3).any()


@each(EXACT)
def test_a_batch_that_makes_no_sense_fails_and_the_next_one_does_not(new: NewRuntime):
    runtime = loaded(new)
    (line,) = lines_on(runtime, [9])
    sensible, line.tokens[3] = line.tokens[3], SPEC.vocabulary + 100

    with pytest.raises(RuntimeFailedError, match="failed in a step"):
        advance(runtime, [line], 9)
    line.tokens[3] = sensible
    assert_close(reference_logits(SPEC, WEIGHTS, line.tokens)[-1], advance(runtime, [line], 9)[0])
