import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.engine.forward import Batches, batch_of, group_by_length
from inference.engine.scheduler import Chunk
from inference.engine.sequence import PromptImage, Request, Sequence
from inference.runtimes.runtime import Batch

FIELDS = ("tokens", "positions", "slots", "block_tables", "last")


def chunk(
    tokens: tuple[int, ...],
    start: int,
    count: int,
    blocks: list[int],
    images: tuple[PromptImage, ...] = (),
) -> Chunk:
    sequence = Sequence(Request("a", tokens, max_tokens=4, images=images), arrived=0.0)
    sequence.blocks = blocks
    return Chunk(sequence, start, count, is_decode=count == 1)


def test_rows_are_padded_into_the_null_block():
    batch = batch_of([chunk((5, 6, 7, 8, 9), 2, 3, [7, 3]), chunk((4,), 0, 1, [2])], 4)

    assert batch.tokens.tolist() == [[7, 8, 9], [4, 0, 0]]
    assert batch.positions.tolist() == [[2, 3, 4], [0, 0, 0]]
    assert batch.slots.tolist() == [[7 * 4 + 2, 7 * 4 + 3, 3 * 4], [2 * 4, 0, 0]]
    assert batch.block_tables.tolist() == [[7, 3], [2, 0]]
    assert batch.last.tolist() == [2, 0]
    assert batch.images is None


def test_only_blocks_in_use_are_read():
    batch = batch_of([chunk((5, 6, 7, 8, 9), 0, 3, [7, 3, 9])], 4)

    assert batch.block_tables.tolist() == [[7]]


def test_chunks_of_like_length_are_computed_together():
    chunks = [chunk((1,) * 20, 0, count, [1, 2, 3]) for count in (1, 9, 1, 16, 2, 1)]

    groups = [[one.count for one in group] for group in group_by_length(chunks)]
    assert groups == [[1, 1, 1], [2], [9, 16]]


def test_decoding_is_never_padded():
    chunks = [chunk((1,) * 20, 0, count, [1, 2, 3]) for count in (1, 2)]

    assert len(list(group_by_length(chunks))) == 2


def test_rows_keep_the_order_of_the_plan():
    chunks = [chunk((token,), 0, 1, [1]) for token in (3, 1, 2)]

    assert list(group_by_length(chunks)) == [chunks]


def test_arrays_are_what_the_runtime_binds():
    batch = batch_of([chunk((5, 6), 0, 2, [1])], 4)

    for name in FIELDS:
        assert getattr(batch, name).dtype == np.int64
        assert getattr(batch, name).flags.c_contiguous


def image(start: int, tokens: int) -> PromptImage:
    values = np.arange(2 * tokens, dtype=np.float32).reshape(tokens, 2) + 100 * start
    return PromptImage(start, b"i", values)


def test_embeddings_go_where_their_tokens_stand_in_the_batch():
    one, other = image(1, 2), image(4, 3)
    batch = batch_of(
        [chunk((9,) * 8, 0, 2, [1, 2]), chunk((9,) * 8, 2, 3, [1, 2], (one, other))], 4
    )

    assert batch.images is not None
    assert batch.images.rows.tolist() == [3 + 0, 3 + 2]
    assert batch.images.values.tolist() == [
        one.embeddings[1].tolist(),
        other.embeddings[0].tolist(),
    ]


def test_chunks_beside_the_images_carry_none():
    assert batch_of([chunk((9,) * 8, 3, 1, [1, 2], (image(1, 2), image(4, 3)))], 4).images is None


def decoding(token: int, computed: int, blocks: list[int]) -> Sequence:
    sequence = Sequence(Request("a", (1,) * computed, max_tokens=99), arrived=0.0)
    sequence.tokens.append(token)
    sequence.computed, sequence.blocks = computed, blocks
    return sequence


def decodes(sequences: list[Sequence]) -> list[Chunk]:
    return [Chunk(one, one.computed, 1, is_decode=True) for one in sequences]


def assert_equal(one: Batch, other: Batch) -> None:
    for name in FIELDS:
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
        assert getattr(one, name).flags.c_contiguous
        assert getattr(one, name).dtype == np.int64


def test_the_next_token_is_written_into_the_same_arrays():
    batches, sequence = Batches(4), decoding(7, 5, [3, 9])
    first = batches.lay_out(decodes([sequence]))
    sequence.tokens.append(8)
    sequence.computed = 6
    second = batches.lay_out(decodes([sequence]))

    assert second is first
    assert_equal(second, batch_of(decodes([sequence]), 4))


def test_a_sequence_that_left_and_returned_has_new_blocks():
    batches, sequence = Batches(4), decoding(7, 5, [3, 9])
    batches.lay_out(decodes([sequence]))
    sequence.blocks = [5, 6]

    assert batches.lay_out(decodes([sequence])).block_tables.tolist() == [[5, 6]]


@pytest.mark.parametrize("size", [1, 4, 64])
@settings(max_examples=40, deadline=None)
@given(moves=st.lists(st.sampled_from(["step", "join", "leave", "return", "detour"]), max_size=30))
def test_batches_that_go_on_are_as_if_laid_out_anew(size: int, moves: list[str]):
    batches, running, next_block = Batches(size), [decoding(1, 3, list(range(1, 90)))], 100
    running[0].blocks = running[0].blocks[: -(-4 // size)]
    for number, move in enumerate(moves):
        if move == "join":
            blocks = list(range(next_block, next_block + -(-(number + 2) // size)))
            next_block += 100
            running.append(decoding(number, number + 1, blocks))
        elif move == "leave" and len(running) > 1:
            running.pop(number % len(running))
        elif move == "return":
            running[-1].blocks = [block + 5000 for block in running[-1].blocks]
        elif move == "detour":
            batches.lay_out([chunk((5, 6, 7), 0, 2, list(range(1, 9)))])
        else:
            for one in running:
                one.computed += 1
                one.tokens.append(number)
                if one.computed >= len(one.blocks) * size:
                    one.blocks.append(next_block + one.computed)

        laid_out = batches.lay_out(decodes(running))
        assert_equal(laid_out, batch_of(decodes(running), size))
