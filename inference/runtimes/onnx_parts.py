"""Batches in parts, where computing all rows together would waste more than it saves."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from inference.runtimes.runtime import NULL_BLOCK, Batch, ImageRows

Whole = NDArray[np.int64]


def split_by_length(lengths: Whole, *, pass_cost: int) -> list[Whole]:
    """Group rows so that short ones do not pay for the padding up to long ones.

    A group costs its number of rows times its longest row; each further group must save
    more than `pass_cost`, in the unit of the lengths.
    """
    rows = len(lengths)
    if (rows - 1) * int(lengths.max() - lengths.min()) <= pass_cost:
        return [np.arange(rows)]
    order = np.argsort(lengths, kind="stable")
    groups = list(_split(order, lengths[order], pass_cost))
    return groups if len(groups) > 1 else [np.arange(rows)]


def _split(order: Whole, lengths: Whole, pass_cost: int) -> Iterator[Whole]:
    saved = np.arange(1, len(order)) * (lengths[-1] - lengths[:-1])
    cut = int(np.argmax(saved)) + 1 if len(saved) else 0
    if not cut or saved[cut - 1] <= pass_cost:
        yield order
        return
    yield from _split(order[:cut], lengths[:cut], pass_cost)
    yield from _split(order[cut:], lengths[cut:], pass_cost)


def rows_of(batch: Batch, rows: Whole) -> Batch:
    """Return some rows of a batch, as a batch that is no larger than they need."""
    width, last = batch.tokens.shape[1], batch.last[rows]
    narrow = int(last.max()) + 1
    tables = batch.block_tables[rows]
    used = int(np.flatnonzero((tables != NULL_BLOCK).any(0))[-1]) + 1
    return Batch(
        batch.tokens[rows, :narrow],
        batch.positions[rows, :narrow],
        batch.slots[rows, :narrow],
        tables[:, :used],
        last,
        None if batch.images is None else _images_of(batch.images, rows, width, narrow),
    )


def _images_of(images: ImageRows, rows: Whole, width: int, narrow: int) -> ImageRows:
    row, column = images.rows // width, images.rows % width
    kept = np.isin(row, rows)
    by_row = np.argsort(rows)
    place = by_row[np.searchsorted(rows, row[kept], sorter=by_row)]
    return ImageRows(place * narrow + column[kept], images.values[kept])
