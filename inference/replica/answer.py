"""From tokens to text: decoding, and the strings that end an answer."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

from inference.engine.sequence import FinishReason, Timings, TokenEvent
from inference.models.tokenizer import StreamDecoder


@dataclass(frozen=True, slots=True)
class Piece:
    """What one token adds to the text of an answer, possibly nothing yet."""

    text: str
    tokens: int  # of the answer so far
    timings: Timings
    finish: FinishReason | None = None


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


async def pieces_of(
    events: AsyncIterator[TokenEvent], decoder: StreamDecoder, stops: StopStrings
) -> AsyncGenerator[Piece, None]:
    """Turn tokens into text until the answer ends or a stop string does it."""
    tokens = 0
    async for event in events:
        tokens += 1
        ends_answer = event.finish is FinishReason.STOP  # the token that says so is no text
        text, is_stopped = stops.push("" if ends_answer else decoder.push(event.token))
        if event.finish is not None and not is_stopped:
            rest, is_stopped = stops.push(decoder.finish())
            text += rest if is_stopped else rest + stops.finish()
        finish = FinishReason.STOP if is_stopped else event.finish
        yield Piece(text, tokens, event.timings, finish)
        if finish is not None:
            return
