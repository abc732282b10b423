"""A request, and the sequence of tokens that it grows into."""

from dataclasses import dataclass, field
from enum import StrEnum

from inference.engine.sampling import GREEDY, Sampling


class FinishReason(StrEnum):
    """Why an answer ended, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Request:
    """What one caller asks for, in tokens."""

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = GREEDY
    stop_tokens: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if not self.prompt or self.max_tokens < 1:
            raise ValueError(
                f"expected a prompt and max_tokens of at least 1, got {len(self.prompt)} prompt "
                f"tokens and max_tokens {self.max_tokens}"
            )


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that a request spent in each stage of the engine."""

    queue: float  # until it joined the batch
    prefill: float  # from there to its first token
    decode: float  # from there to its last

    @property
    def time_to_first_token(self) -> float:
        """Seconds from arrival to the first token."""
        return self.queue + self.prefill


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token of an answer; the last one carries why it is the last."""

    token: int
    timings: Timings
    finish: FinishReason | None = None


@dataclass(slots=True, eq=False)
class Sequence:
    """A request on its way through the engine; owned by the engine's thread.

    `computed` tokens have their keys and values in `blocks`. A sequence that lost its blocks
    computes prompt and answer again, as if both had been its prompt.
    """

    request: Request
    arrived: float
    tokens: list[int] = field(default_factory=list)
    computed: int = 0
    blocks: list[int] = field(default_factory=list)
    is_waiting: bool = True  # for a place in the batch, for the first time or again
    joined: float | None = None
    first_token: float | None = None

    def __post_init__(self) -> None:
        self.tokens = list(self.request.prompt)

    @property
    def answered(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def remaining(self) -> int:
        """Tokens that must be computed before the next one can be drawn."""
        return len(self.tokens) - self.computed

    @property
    def is_decoding(self) -> bool:
        """Whether only the token drawn last is still to be computed."""
        return self.answered > 0 and self.remaining == 1

    def append(self, token: int) -> FinishReason | None:
        """Add a drawn token; return why the answer ends with it, if it does."""
        self.tokens.append(token)
        if token in self.request.stop_tokens:
            return FinishReason.STOP
        return FinishReason.LENGTH if self.answered == self.request.max_tokens else None

    def timings(self, now: float) -> Timings:
        """Return the stages up to `now`, when a token is given out."""
        joined = now if self.joined is None else self.joined
        first = now if self.first_token is None else self.first_token
        return Timings(joined - self.arrived, first - joined, now - first)
