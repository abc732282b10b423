"""From tokens to text: decoding, the strings that end an answer, and how likely it was."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inference.engine.sequence import FinishReason, Timings, TokenEvent
from inference.models.tokenizer import StreamDecoder


class Likely(NamedTuple):
    """A token of an answer and the model's likeliest ones in its place, with log-probabilities."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """What tokens add to the text of one choice, possibly nothing yet."""

    choice: int
    text: str
    tokens: int  # of the choice so far
    timings: Timings
    finish: FinishReason | None = None
    cached: int = 0  # tokens of the choice's prompt that needed no computing
    likely: tuple[Likely, ...] = ()  # where asked for: those of `text`, as near as can be told


class StopStrings:
    """Finds the first stop string in a text that arrives in pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""  # may be the beginning of a stop string

    def push(self, text: str) -> tuple[str, bool]:
        """Return the text that is certain to stand, and whether a stop string ended it."""
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            return self._held[: min(found)], True
        certain = len(self._held) - max((self._begun(stop) for stop in self._stops), default=0)
        text, self._held = self._held[:certain], self._held[certain:]
        return text, False

    def finish(self) -> str:
        """Return what was held back when no text will follow."""
        text, self._held = self._held, ""
        return text

    def _begun(self, stop: str) -> int:
        """Return how much of `stop` the held text ends with."""
        longest = min(len(stop) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._held.endswith(stop[:n])), 0)


class ChoiceText:
    """The text of one choice as it grows."""

    def __init__(
        self, decoder: StreamDecoder, stops: StopStrings, stop_tokens: frozenset[int]
    ) -> None:
        self._decoder = decoder
        self._stops = stops
        self._stop_tokens = stop_tokens  # these end an answer and are none of its text
        self._tokens = 0
        self._likely: list[Likely] = []  # of text that is held back

    def push(self, event: TokenEvent) -> Piece:
        """Take in the next token of the choice."""
        self._tokens += 1
        new = ""
        if event.token not in self._stop_tokens:
            new = self._decoder.push(event.token)
            if event.logprob is not None:
                self._likely.append(Likely(event.token, event.logprob, event.top))
        text, is_stopped = self._stops.push(new)
        if event.finish is not None and not is_stopped:
            rest, is_stopped = self._stops.push(self._decoder.finish())
            text += rest if is_stopped else rest + self._stops.finish()
        finish = FinishReason.STOP if is_stopped else event.finish
        likely = self._released() if text or finish else ()
        return Piece(event.choice, text, self._tokens, event.timings, finish, event.cached, likely)

    def _released(self) -> tuple[Likely, ...]:
        likely, self._likely = tuple(self._likely), []
        return likely


def ignore(_piece: Piece) -> None:
    """Take no note of a piece."""


async def pieces_of(
    events: AsyncIterator[TokenEvent],
    texts: Sequence[ChoiceText],
    give_up: Callable[[int], None],
    observe: Callable[[Piece], None] = ignore,
) -> AsyncGenerator[Piece, None]:
    """Turn the tokens of all choices into text, each until it ends or a stop string ends it.

    `give_up` is called with a choice that a stop string ends: its tokens are wanted no more.
    `observe` is told of every piece, one for each token.
    """
    ended: set[int] = set()
    async for event in events:
        if event.choice in ended:  # drawn before the engine heard of it
            continue
        piece = texts[event.choice].push(event)
        if piece.finish is not None:
            ended.add(event.choice)
            if event.finish is None:
                give_up(event.choice)
        observe(piece)
        yield piece
        if len(ended) == len(texts):
            return
