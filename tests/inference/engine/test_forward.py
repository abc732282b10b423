import numpy as np

from inference.engine.forward import batch_of, forward, group_by_length
from inference.engine.scheduler import Chunk
from inference.engine.sequence import Request, Sequence


def chunk(tokens: tuple[int, ...], start: int, count: int, blocks: list[int]) -> Chunk:
    sequence = Sequence(Request("a", tokens, max_tokens=4), arrived=0.0)
    sequence.blocks = blocks
    return Chunk(sequence, start, count, is_decode=count == 1)


def test_rows_are_padded_into_the_null_block():
    batch = batch_of([chunk((5, 6, 7, 8, 9), 2, 3, [7, 3]), chunk((4,), 0, 1, [2])], 4)

    assert batch.tokens.tolist() == [[7, 8, 9], [4, 0, 0]]
    assert batch.positions.tolist() == [[2, 3, 4], [0, 0, 0]]
    assert batch.slots.tolist() == [[7 * 4 + 2, 7 * 4 + 3, 3 * 4], [2 * 4, 0, 0]]
    assert batch.block_tables.tolist() == [[7, 3], [2, 0]]
    assert batch.last.tolist() == [2, 0]


def test_only_blocks_in_use_are_read():
    batch = batch_of([chunk((5, 6, 7, 8, 9), 0, 3, [7, 3, 9])], 4)

    assert batch.block_tables.tolist() == [[7]]


def test_chunks_of_like_length_are_computed_together():
    chunks = [chunk((1,) * 20, 0, count, [1, 2, 3]) for count in (1, 9, 1, 16, 2, 1)]

    assert [sorted(group) for group in group_by_length(chunks)] == [[0, 2, 5], [4], [1, 3]]


def test_decoding_is_never_padded():
    chunks = [chunk((1,) * 20, 0, count, [1, 2, 3]) for count in (1, 2)]

    assert len(list(group_by_length(chunks))) == 2


def test_a_chunk_draws_a_token_only_where_its_sequence_ends(runtime):
    runtime.allocate_kv(4)
    tokens = forward(runtime, [chunk((5, 6, 7), 0, 2, [1]), chunk((5, 6, 7), 0, 3, [2])])

    assert tokens[0] is None
    assert isinstance(tokens[1], int)


def test_arrays_are_what_the_runtime_binds():
    batch = batch_of([chunk((5, 6), 0, 2, [1])], 4)

    for array in (batch.tokens, batch.positions, batch.slots, batch.block_tables, batch.last):
        assert array.dtype == np.int64
        assert array.flags.c_contiguous
