import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.engine.kv_cache import BlockPool


@pytest.mark.parametrize(("tokens", "blocks"), [(0, 0), (1, 1), (16, 1), (17, 2)], ids=str)
def test_the_last_block_may_be_partly_filled(tokens: int, blocks: int):
    assert BlockPool(9, block_size=16).blocks_for(tokens) == blocks


def test_the_null_block_is_never_given_out():
    pool = BlockPool(5, block_size=16)

    assert sorted(pool.allocate(4)) == [1, 2, 3, 4]
    assert pool.available == 0
    assert pool.usage == 1.0
    assert pool.capacity == 64


def test_more_than_is_free_cannot_be_taken_and_nothing_is():
    pool = BlockPool(4, block_size=16)

    with pytest.raises(ValueError, match="4 blocks asked for, 3 free"):
        pool.allocate(4)
    assert pool.available == 3


def test_a_block_cannot_be_freed_twice():
    pool = BlockPool(4, block_size=16)
    blocks = pool.allocate(2)
    pool.free(blocks)

    with pytest.raises(ValueError, match="not taken"):
        pool.free(blocks)


@pytest.mark.parametrize("block", [0, -1, 4])
def test_only_blocks_that_were_given_out_can_be_freed(block: int):
    with pytest.raises(ValueError, match="not taken"):
        BlockPool(4, block_size=16).free([block])


@pytest.mark.parametrize(("blocks", "size"), [(1, 16), (4, 0)])
def test_a_pool_needs_a_block_beside_the_null_block(blocks: int, size: int):
    with pytest.raises(ValueError, match="2 or more blocks"):
        BlockPool(blocks, block_size=size)


@given(size=st.integers(2, 20), moves=st.lists(st.tuples(st.booleans(), st.integers(0, 6))))
def test_no_block_is_lost_or_held_twice(size: int, moves: list[tuple[bool, int]]):
    pool, held = BlockPool(size, block_size=4), []
    for takes, count in moves:
        if takes and count <= pool.available:
            held.append(pool.allocate(count))
        elif not takes and held:
            pool.free(held.pop(count % len(held)))
        taken = [block for blocks in held for block in blocks]
        assert len(taken) == len(set(taken))
        assert all(1 <= block < size for block in taken)
        assert pool.available + len(taken) == size - 1
