"""Penalties on what a text has said already."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Penalties:
    """What one choice has said so far, and what saying it again costs.

    Repetition is Hugging Face's: the logit of every token of prompt or answer is divided by it
    where positive and multiplied where negative. Presence and frequency are OpenAI's: each
    token of the answer loses `presence` once and `frequency` for every time it was said.
    """

    def __init__(
        self, prompt: Sequence[int], *, repetition: float, presence: float, frequency: float
    ) -> None:
        self._repetition = np.float32(repetition)
        self._presence = np.float32(presence)
        self._frequency = np.float32(frequency)
        self._seen = np.unique(np.asarray(prompt, np.intp))
        self._counts: dict[int, int] = {}

    def apply(self, logits: NDArray[np.float32]) -> None:
        """Lower the logits [V] of what was said, in place."""
        scores = logits[self._seen]
        logits[self._seen] = np.where(
            scores > 0, scores / self._repetition, scores * self._repetition
        )
        said = np.fromiter(self._counts.keys(), np.intp)
        counts = np.fromiter(self._counts.values(), np.float32)
        logits[said] -= self._presence + self._frequency * counts

    def count(self, token: int) -> None:
        """Note a token of the answer."""
        if token not in self._counts and token not in self._seen:
            self._seen = np.append(self._seen, token)
        self._counts[token] = self._counts.get(token, 0) + 1
