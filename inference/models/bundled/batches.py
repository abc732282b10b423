"""Rows of tokens to learn from, and which of those tokens count."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from inference.models.bundled import vocabulary
from inference.models.bundled.conversations import Repertoire, Turn
from inference.models.bundled.corpus import SENTENCE_END, Passage
from inference.models.bundled.vocabulary import BOS_ID, END_ID

SHARES = {"scaling": 0.64, "term": 0.1, "written": 0.08, "topic": 0.1, "summary": 0.08}
STAYS_IN_CONVERSATION = 0.4
STARTS_INSIDE_PASSAGE = 0.3


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of equal length; a token counts if it is to be predicted."""

    tokens: NDArray[np.int64]
    counts: NDArray[np.bool_]


Piece = tuple[list[int], list[bool]]


class Sampler:
    """Draws conversations and passages without end."""

    def __init__(
        self, tokenizer: Tokenizer, repertoire: Repertoire, passages: list[Passage], seed: int
    ) -> None:
        self._tokenizer = tokenizer
        self._passages = passages
        self._rng = random.Random(seed)
        kinds: dict[str, Callable[[random.Random], Turn]] = {
            "scaling": repertoire.scaling,
            "term": repertoire.term,
            "written": repertoire.written,
            "topic": repertoire.topic,
            "summary": repertoire.summary,
        }
        self._kinds = [kinds[kind] for kind in SHARES]

    def conversations(self, rows: int, length: int) -> Batch:
        """Turns packed into rows; an answer is what counts."""
        return stack([fill(self._turns(), length) for _ in range(rows)])

    def prose(self, rows: int, length: int) -> Batch:
        """Passages packed into rows, every token of which counts."""
        return stack([fill(self._texts(), length) for _ in range(rows)])

    def _turns(self) -> Iterator[Piece]:
        """Only answers count; a turn either opens a conversation or goes on with the last."""
        opens = True
        while True:
            turn = self._rng.choices(self._kinds, tuple(SHARES.values()))[0](self._rng)
            asked = vocabulary.question_ids(self._tokenizer, turn.question)
            answer = [*vocabulary.plain_ids(self._tokenizer, turn.answer), END_ID]
            asked = [BOS_ID, *asked] if opens else asked
            yield asked + answer, [False] * len(asked) + [True] * len(answer)
            opens = self._rng.random() > STAYS_IN_CONVERSATION

    def _texts(self) -> Iterator[Piece]:
        while True:
            ids = vocabulary.plain_ids(self._tokenizer, self._text())
            yield [BOS_ID, *ids, END_ID], [False] + [True] * (len(ids) + 1)

    def _text(self) -> str:
        """A passage, or the rest of one from some sentence on."""
        text = self._rng.choice(self._passages).text
        if self._rng.random() < STARTS_INSIDE_PASSAGE:
            starts = [0, *(match.end() for match in SENTENCE_END.finditer(text))]
            return text[self._rng.choice(starts) :]
        return text


def fill(pieces: Iterator[Piece], length: int) -> Piece:
    """As many pieces as fit, the last one cut."""
    tokens: list[int] = []
    counts: list[bool] = []
    while len(tokens) < length:
        more, counted = next(pieces)
        tokens += more
        counts += counted
    return tokens[:length], counts[:length]


def stack(rows: list[Piece]) -> Batch:
    """One batch of rows that are equally long."""
    return Batch(
        np.array([tokens for tokens, _ in rows], dtype=np.int64),
        np.array([counts for _, counts in rows], dtype=np.bool_),
    )
