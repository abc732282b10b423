import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.runtimes.row_order import RowOrder
from inference.runtimes.runtime import NULL_BLOCK

BLOCKS = 12


class Memory:
    """Rows that hold the number of the block that was written into them."""

    def __init__(self) -> None:
        self.order = RowOrder(BLOCKS)
        self.rows = np.zeros((BLOCKS, 4), np.int64)
        self.moved = 0

    def step(self, blocks: list[int], tokens: int = 4) -> list[int]:
        """Write each block's number into its row; return the rows, in the batch's order."""
        there = self.order.arrange(np.array(blocks), np.full(len(blocks), tokens))
        for source, target, count in there.copies:
            self.rows[target, :count] = self.rows[source, :count]
            self.moved += count
        rows = np.empty(len(blocks), np.int64)
        rows[there.order] = there.start + np.arange(len(blocks))
        self.rows[rows] = np.array(blocks)[:, None]
        return rows.tolist()


@given(st.lists(st.sets(st.integers(1, BLOCKS - 1), min_size=1), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_rows_lie_together_and_keep_what_was_written(batches: list[set[int]]):
    memory, written = Memory(), set()
    for batch in batches:
        blocks = sorted(batch, key=lambda block: block * 7 % BLOCKS)
        rows = memory.step(blocks)
        written |= batch

        assert sorted(rows) == list(range(min(rows), min(rows) + len(blocks)))
        assert min(rows) > NULL_BLOCK
        assert rows == [memory.order.row(block) for block in blocks]
        for block in written:
            assert (memory.rows[memory.order.row(block)] == block).all()


def test_a_batch_that_stays_moves_nothing():
    memory = Memory()
    memory.step([2, 9, 5])
    moved = memory.moved
    memory.step([9, 5, 2])

    assert memory.moved == moved


@given(st.permutations(range(1, BLOCKS)), st.integers(1, 6), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_decodes_and_prefills_that_alternate_come_to_rest(
    blocks: list[int], decodes: int, prefills: int
):
    memory, groups = Memory(), (blocks[:decodes], blocks[decodes : decodes + prefills])
    for _ in range(3):
        for group in groups:
            memory.step(group)
    moved = memory.moved
    for group in groups:
        memory.step(group)

    assert memory.moved == moved


def test_the_shortest_rows_are_moved():
    memory = Memory()
    memory.step([1, 2, 3], tokens=4)
    memory.step([6], tokens=1)
    before = [memory.order.row(block) for block in (1, 2, 3)]
    memory.step([1, 2, 3, 6])

    assert [memory.order.row(block) for block in (1, 2, 3)] == before


def test_a_row_beside_an_empty_one_is_all_that_moves():
    memory = Memory()
    memory.step([1, 2, 3])
    memory.step([1, 3])

    assert memory.moved == 4


@pytest.mark.parametrize("size", [1, BLOCKS - 1])
def test_any_size_of_batch_fits(size: int):
    assert len(Memory().step(list(range(1, size + 1)))) == size
