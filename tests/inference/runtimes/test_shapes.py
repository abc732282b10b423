import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.runtimes.runtime import Batch, ImageRows
from inference.runtimes.shapes import ShapeLimits, bucket, padded, pieces, reordered

LIMITS = ShapeLimits(decode_rows=4, prefill_rows=2, chunk=8)


def batch_of(counts: list[int], first_blocks: list[int] | None = None) -> Batch:
    """Token t of row b is 100 * b + t."""
    width, rows = max(counts), len(counts)
    grid = 100 * np.arange(rows)[:, None] + np.arange(width)
    tables = np.array(first_blocks or range(1, rows + 1))[:, None]
    return Batch(grid, grid, grid, tables, np.array(counts) - 1)


@pytest.mark.parametrize(
    ("size", "largest", "expected"),
    [(1, 64, 1), (2, 64, 2), (3, 64, 4), (33, 64, 64), (33, 48, 48), (5, 5, 5)],
)
def test_a_bucket_is_the_next_power_of_two_or_the_largest(size: int, largest: int, expected: int):
    assert bucket(size, largest) == expected


@settings(deadline=None, max_examples=60)
@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=9), distinct=st.booleans())
def test_pieces_cover_every_token_once_in_order_and_within_the_limits(
    counts: list[int],
    distinct: bool,  # noqa: FBT001
):
    seen: dict[int, list[int]] = {row: [] for row in range(len(counts))}
    ended = []
    first_blocks = [1 + row // 2 for row in range(len(counts))]
    for piece in pieces(batch_of(counts, first_blocks), LIMITS, distinct=distinct):
        rows, width = piece.batch.tokens.shape
        assert width <= LIMITS.chunk
        assert rows <= LIMITS.rows(width)
        if distinct:
            assert len(set(piece.batch.block_tables[:, 0])) == rows
        for place, row in enumerate(piece.members):
            seen[row] += piece.batch.tokens[place, : piece.batch.last[place] + 1].tolist()
        ended += piece.members[piece.ends].tolist()

    assert seen == {row: [100 * row + t for t in range(n)] for row, n in enumerate(counts)}
    assert sorted(ended) == list(range(len(counts)))


def test_a_batch_of_single_tokens_is_cut_by_the_rows_of_decode():
    sizes = [len(piece.members) for piece in pieces(batch_of([1] * 9), LIMITS, distinct=False)]

    assert sizes == [4, 4, 1]


def test_padding_adds_the_null_block_and_keeps_what_was_there():
    full = padded(batch_of([2, 3]), rows=4, width=4, blocks=2, images=0)

    assert full.tokens.tolist() == [[0, 1, 2, 0], [100, 101, 102, 0], [0] * 4, [0] * 4]
    assert full.block_tables.tolist() == [[1, 0], [2, 0], [0, 0], [0, 0]]
    assert full.last.tolist() == [1, 2, 0, 0]


def test_images_follow_their_tokens_through_cutting_padding_and_reordering():
    counts = [10, 3, 12]
    batch = batch_of(counts)
    rows = np.array([0 * 12 + 2, 0 * 12 + 9, 2 * 12 + 11, 1 * 12 + 1])
    values = batch.tokens.reshape(-1)[rows][:, None].astype(np.float32)
    whole = Batch(*(getattr(batch, name) for name in Batch.__slots__[:5]), ImageRows(rows, values))
    found = []
    for piece in pieces(whole, LIMITS, distinct=False):
        turned = reordered(piece.batch, np.arange(len(piece.members))[::-1])
        images = turned.images
        assert images is not None
        full = padded(turned, rows=4, width=8, blocks=1, images=2 * len(images.rows)).images
        assert full is not None
        assert len(full.rows) == 2 * len(images.rows)
        grid = np.pad(
            turned.tokens, ((0, 4 - len(turned.tokens)), (0, 8 - turned.tokens.shape[1]))
        )
        assert grid.reshape(-1)[full.rows].tolist() == full.values[:, 0].tolist()
        found += images.values[:, 0].tolist()

    assert sorted(found) == sorted(values[:, 0].tolist())


def test_limits_of_nothing_are_refused():
    with pytest.raises(ValueError, match="chunk of 1 or more"):
        ShapeLimits(chunk=0)
