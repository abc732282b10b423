"""One request on its way to its answer: who asks, what is asked, and what is told of the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from inference.answers import PromptTokens, Usage
from inference.api import GenerationRequest
from inference.replica.answer import Piece
from inference.replica.formats import Format
from inference.replica.prompts import Asked


@dataclass(slots=True)
class Visit:
    """A client that waits, and how far its request has come."""

    http: web.Request
    operation: str
    span: Span
    read: float = 0.0  # when its body had been, in wall-clock seconds
    submitted: float = 0.0  # when it went to the engine, likewise
    model: str | None = None  # once it is known
    has_begun: bool = False  # to be answered: the first token is there


@dataclass(frozen=True, slots=True)
class Job:
    """A request that was understood."""

    visit: Visit
    ask: GenerationRequest
    asked: Asked
    shape: Format

    def usage(self, ends: Sequence[Piece]) -> Usage:
        """Return the token counts of the whole answer, from the last piece of each choice."""
        prompt, tokens = self.asked.prompt_tokens, _tokens(ends)
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=tokens,
            total_tokens=prompt + tokens,
            prompt_tokens_details=PromptTokens(cached_tokens=self._cached(ends)),
        )

    def told(self, ends: Sequence[Piece]) -> Mapping[str, AttributeValue]:
        """Return what a span tells of the answer."""
        return {
            "gen_ai.response.id": self.asked.id,
            "gen_ai.response.model": self.asked.served.name,
            "gen_ai.response.finish_reasons": [str(piece.finish) for piece in ends],
            "gen_ai.usage.input_tokens": self.asked.prompt_tokens,
            "gen_ai.usage.output_tokens": _tokens(ends),
            "gen_ai.usage.cache_read.input_tokens": self._cached(ends),
        }

    def _cached(self, ends: Sequence[Piece]) -> int:
        # The choices of one prompt find it in the cache once the first has computed it.
        cached, each = [piece.cached for piece in ends], self.ask.choices
        return sum(min(cached[at : at + each]) for at in range(0, len(cached), each))


def _tokens(ends: Sequence[Piece]) -> int:
    return sum(piece.tokens for piece in ends)
