"""From logits to the next token: a pure function of logits, settings and position."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_64_BITS = 2**64 - 1
_COLDEST = 1e-6  # below it the likeliest token is certain, and dividing would overflow


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a request wants its tokens drawn; the defaults are OpenAI's."""

    temperature: float = 1.0
    top_k: int = 0  # 0 considers the whole vocabulary
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.top_k < 0 or not 0 <= self.top_p <= 1:
            raise ValueError(
                f"expected temperature and top_k of 0 or more and top_p from 0 to 1, got {self}"
            )


GREEDY = Sampling(temperature=0.0)


def choose(logits: NDArray[np.float32], sampling: Sampling, *, position: int) -> int:
    """Draw the token at `position` of an answer.

    The draw is keyed by the request's seed and the position alone, so that a request gets the
    same tokens whoever shares its batch.
    """
    if sampling.temperature < _COLDEST or sampling.top_k == 1:
        return int(logits.argmax())
    candidates = _likeliest(logits, sampling.top_k)
    scores = logits[candidates].astype(np.float64)
    weights = np.exp((scores - scores[0]) / sampling.temperature)
    mass = weights.cumsum()
    if sampling.top_p < 1:
        mass = mass[: _nucleus(mass, sampling.top_p)]
    drawn = _uniform(sampling.seed, position) * mass[-1]
    index = np.searchsorted(mass, drawn, side="right")  # past the end where rounding says so
    return int(candidates[min(int(index), len(mass) - 1)])


def _likeliest(logits: NDArray[np.float32], top_k: int) -> NDArray[np.intp]:
    """Return tokens from the likeliest down, the `top_k` first ones if it is not 0."""
    if 0 < top_k < len(logits):
        best = np.argpartition(logits, -top_k)[-top_k:]
        return best[np.argsort(-logits[best], kind="stable")]
    return np.argsort(-logits, kind="stable")


def _nucleus(mass: NDArray[np.float64], top_p: float) -> int:
    """Return how many of the likeliest tokens together reach the share `top_p`, at least one."""
    return int(np.searchsorted(mass, top_p * mass[-1], side="left")) + 1


def _uniform(seed: int, position: int) -> float:
    key = np.array([seed & _64_BITS, position], np.uint64)
    return float(np.random.Generator(np.random.Philox(key=key)).random())
