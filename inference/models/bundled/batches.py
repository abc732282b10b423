"""Rows of tokens and pictures to learn from, and how much each of those tokens counts."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from inference.models.bundled import digits, vocabulary
from inference.models.bundled.conversations import Repertoire, Turn, loosely
from inference.models.bundled.corpus import SENTENCE_END, Passage
from inference.models.bundled.digits import Digit
from inference.models.bundled.vocabulary import BOS_ID, END_ID, IMAGE, PAD_ID

SHARES = {"scaling": 0.7, "term": 0.09, "written": 0.07, "topic": 0.08, "summary": 0.06}
STAYS_IN_CONVERSATION = 0.4
STARTS_INSIDE_PASSAGE = 0.3
PICTURE_COMES_FIRST = 0.7
CONVERSATIONS_WEIGH = 3.0  # against prose: their loss is soon small
DECIDING, DECIDES = {",", ".", "Ġup", "Ġdown"}, 6.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of equal length; a token is to be predicted as much as its weight says."""

    tokens: NDArray[np.int64]
    weights: NDArray[np.float32]
    images: NDArray[np.float32] | None = None
    importance: float = 1.0


Piece = tuple[list[int], list[float]]
Number = TypeVar("Number", int, float)


class Sampler:
    """Draws conversations, passages and pictures without end."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        repertoire: Repertoire,
        passages: list[Passage],
        pictures: list[Digit],
        seed: int,
    ) -> None:
        self._tokenizer = tokenizer
        self._passages = passages
        self._pictures = pictures
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
        batch = stack([fill(self._turns(), length) for _ in range(rows)])
        return replace(batch, importance=CONVERSATIONS_WEIGH)

    def prose(self, rows: int, length: int) -> Batch:
        """Passages packed into rows, every token of which counts."""
        return stack([fill(self._texts(), length) for _ in range(rows)])

    def pictures(self, rows: int) -> Batch:
        """Chats about one or two digits."""
        seen: list[Digit] = []
        pieces = [self._looks(seen) for _ in range(rows)]
        images = np.stack([digits.pixels(digits.varied(digit, self._rng)) for digit in seen])
        return replace(stack(pieces), images=images)

    def _looks(self, seen: list[Digit]) -> Piece:
        """Questions on digits, which go to those seen, sometimes after other talk."""
        tokens, weights = [BOS_ID], [0.0]
        for _ in range(self._rng.choice((1, 1, 1, 2))):
            seen.append(self._rng.choice(self._pictures))
            asked, answer = self._exchange(Turn(self._about_picture(), seen[-1].sentence))
            tokens += asked + answer
            weights += [0.0] * len(asked) + [1.0] * len(answer)
        return tokens, weights

    def _about_picture(self) -> str:
        """A question that comes with a picture before or after it, or only the picture."""
        question = loosely(self._rng.choice(digits.ASKING), self._rng)
        first = self._rng.random() < PICTURE_COMES_FIRST
        return f"{IMAGE}{question}" if first else f"{question}{IMAGE}"

    def _turns(self) -> Iterator[Piece]:
        """Only answers count; a turn either opens a conversation or goes on with the last."""
        opens = True
        while True:
            draw = self._rng.choices(self._kinds, tuple(SHARES.values()))[0]
            asked, answer = self._exchange(turn := draw(self._rng))
            asked = [BOS_ID, *asked] if opens else asked
            weights = self._weights(answer) if turn.is_scaling else [1.0] * len(answer)
            yield asked + answer, [0.0] * len(asked) + weights
            opens = self._rng.random() > STAYS_IN_CONVERSATION

    def _exchange(self, turn: Turn) -> tuple[list[int], list[int]]:
        asked = vocabulary.question_ids(self._tokenizer, turn.question)
        return asked, [*vocabulary.plain_ids(self._tokenizer, turn.answer), END_ID]

    def _weights(self, answer: list[int]) -> list[float]:
        """Heavier where a scaling sentence may go on or end: at its marks, and right after."""
        texts = ["", *(self._tokenizer.id_to_token(token) for token in answer)]
        return [
            DECIDES if now in DECIDING or before == "," else 1.0 for before, now in pairwise(texts)
        ]

    def _texts(self) -> Iterator[Piece]:
        while True:
            ids = vocabulary.plain_ids(self._tokenizer, self._text())
            yield [BOS_ID, *ids, END_ID], [0.0] + [1.0] * (len(ids) + 1)

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
    weights: list[float] = []
    while len(tokens) < length:
        more, weighted = next(pieces)
        tokens += more
        weights += weighted
    return tokens[:length], weights[:length]


def stack(rows: Sequence[Piece]) -> Batch:
    """One batch of the rows, the shorter ones filled up at their ends."""
    length = max(len(tokens) for tokens, _ in rows)
    return Batch(
        np.array([padded(tokens, length, PAD_ID) for tokens, _ in rows], dtype=np.int64),
        np.array([padded(weights, length, 0.0) for _, weights in rows], dtype=np.float32),
    )


def padded(values: list[Number], length: int, filling: Number) -> list[Number]:
    """The values, and as much filling as makes them long enough."""
    return values + [filling] * (length - len(values))
