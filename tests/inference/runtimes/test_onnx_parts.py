import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.runtimes.onnx_parts import rows_of, split_by_length
from inference.runtimes.runtime import Batch, ImageRows


@pytest.mark.parametrize(
    ("lengths", "pass_cost", "sizes"),
    [
        pytest.param([9, 9, 9], 1, [3], id="equal ones stay together"),
        pytest.param([1, 9, 1], 16, [3], id="what is saved pays for no pass"),
        pytest.param([1, 9, 1], 15, [2, 1], id="what is saved pays for one"),
        pytest.param([1, 50, 9, 1], 10, [2, 1, 1], id="several cuts"),
    ],
)
def test_rows_are_cut_where_that_saves_more_than_a_pass(
    lengths: list[int], pass_cost: int, sizes: list[int]
):
    groups = split_by_length(np.array(lengths), pass_cost=pass_cost)

    assert [len(rows) for rows in groups] == sizes


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.integers(0, 500))
def test_every_row_is_in_one_group_and_none_costs_more_for_it(lengths: list[int], cost: int):
    array = np.array(lengths)
    groups = split_by_length(array, pass_cost=cost)
    paid = sum(len(rows) * int(array[rows].max()) for rows in groups) + cost * (len(groups) - 1)

    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lengths)))
    assert paid <= len(lengths) * max(lengths)


def test_rows_of_a_batch_keep_their_images():
    tokens = np.arange(12).reshape(3, 4)
    images = ImageRows(np.array([1, 4, 8, 9]), np.arange(4.0, dtype=np.float32)[:, None])
    batch = Batch(
        tokens, tokens + 20, tokens + 40, np.ones((3, 2), int), np.array([3, 0, 1]), images
    )
    part = rows_of(batch, np.array([2, 0]))

    assert part.tokens.tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    assert part.last.tolist() == [1, 3]
    assert part.images is not None
    assert part.images.rows.tolist() == [5, 0, 1]
    assert part.images.values[:, 0].tolist() == [0.0, 2.0, 3.0]


def test_rows_are_no_wider_than_they_need():
    tokens, tables = np.arange(12).reshape(3, 4), np.array([[7, 8, 9], [5, 0, 0], [3, 4, 0]])
    batch = Batch(tokens, tokens, tokens, tables, np.array([3, 0, 1]))
    part = rows_of(batch, np.array([1, 2]))

    assert part.tokens.tolist() == [[4, 5], [8, 9]]
    assert part.block_tables.tolist() == [[5, 0], [3, 4]]
