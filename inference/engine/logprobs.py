"""How likely the model itself held tokens to be, before any setting of the request."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.engine.candidates import floor_of_count, likeliest, mass


class Likelihood(NamedTuple):
    """The log-probability of a drawn token, and the likeliest tokens with theirs."""

    drawn: float
    top: tuple[tuple[int, float], ...]


def likelihoods(
    logits: NDArray[np.float32], tokens: NDArray[np.intp], counts: Sequence[int]
) -> list[Likelihood]:
    """Return the natural log-softmax of one drawn token per row [R, V] and of its top counts."""
    peaks = logits.max(axis=1)
    normal = np.log(mass(logits, peaks, np.ones(len(logits)))) + peaks
    drawn = logits[np.arange(len(logits)), tokens] - normal
    if not any(counts):
        return [Likelihood(float(value), ()) for value in drawn]
    best = likeliest(logits, floor_of_count(logits, max(counts)))
    scores = best.logits - normal[:, None]
    return [
        Likelihood(float(drawn[row]), _top(best.tokens[row, :count], scores[row, :count]))
        for row, count in enumerate(counts)
    ]


def _top(tokens: NDArray[np.intp], scores: NDArray[np.float32]) -> tuple[tuple[int, float], ...]:
    """Pair tokens and log-probabilities, without the padding of short rows."""
    pairs = zip(tokens.tolist(), scores.tolist(), strict=True)
    return tuple((token, score) for token, score in pairs if score > -np.inf)
