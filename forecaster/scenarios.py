"""Scenarios: joint sample paths of rate and request lengths, which keep what depends on what."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scenarios:
    """Equally likely paths of what may come: each array is paths x steps ahead."""

    rate: Floats  # in the forecast's unit
    input_tokens: Floats | None = None  # mean per request
    output_tokens: Floats | None = None
    rows: Indices | None = None  # past errors that each path follows, the newest is -1

    def __post_init__(self) -> None:
        if self.rate.ndim != 2 or not self.rate.size:  # noqa: PLR2004
            raise ValueError(f"expected rates of paths x steps, got shape {self.rate.shape}")
        for lengths in (self.input_tokens, self.output_tokens):
            if lengths is not None and lengths.shape != self.rate.shape:
                raise ValueError(
                    f"expected lengths of shape {self.rate.shape}, got {lengths.shape}"
                )

    @property
    def count(self) -> int:
        """Number of paths."""
        return int(self.rate.shape[0])

    @property
    def ranks(self) -> Indices:
        """How many paths lie below each, step by step: paths x steps."""
        order = np.argsort(self.rate, axis=0, kind="stable")
        return np.argsort(order, axis=0).astype(np.int64)

    def chosen(self, paths: Indices) -> "Scenarios":
        """Return the paths of these indices, in their order."""
        tokens_in, tokens_out = self.input_tokens, self.output_tokens
        return Scenarios(
            self.rate[paths],
            None if tokens_in is None else tokens_in[paths],
            None if tokens_out is None else tokens_out[paths],
            None if self.rows is None else self.rows[paths],
        )

    def thinned(self, count: int) -> "Scenarios":
        """Return `count` of the paths, evenly picked: they are in the order of the errors behind.

        All of them where there are no more.
        """
        picked = np.linspace(0, self.count - 1, min(count, self.count))
        return self.chosen(picked.round().astype(np.int64))


def joint(ranks: Indices, chances: Floats) -> Floats:
    """Return the chance that all steps stay below their levels, given each step's own chance.

    `ranks` is paths x steps, `chances` is steps x cases. A path stands for all demand between its
    neighbours', where steps are taken to be independent: so a single step's chance comes back as
    it went in, and chances beyond the highest path are told apart. (A checkerboard copula.)
    """
    count = ranks.shape[0]
    covered = np.ones((count, chances.shape[1]))
    for step, chance in enumerate(chances):
        covered *= np.clip(count * chance - ranks[:, step : step + 1], 0.0, 1.0)
    return np.asarray(covered.mean(axis=0))
