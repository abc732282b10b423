"""A request, and the sequences of tokens that it grows into: one for each choice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.engine.sampling import GREEDY, Constraint, Sampler, Sampling

MAX_PRIORITY = 2**31 - 1


class FinishReason(StrEnum):
    """Why an answer ended, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True, eq=False)
class PromptImage:
    """An image in a prompt: its embeddings stand in for those of n tokens from `start` on."""

    start: int
    digest: bytes  # equal digests promise equal embeddings
    embeddings: NDArray[np.float32]  # [n, hidden]

    @property
    def end(self) -> int:
        """First token after the image."""
        return self.start + len(self.embeddings)


@dataclass(frozen=True, slots=True)
class Request:
    """What one caller asks for, in tokens."""

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = GREEDY
    stop_tokens: frozenset[int] = frozenset()
    choices: int = 1  # answers to the one prompt
    priority: int = 0  # lower is served earlier
    images: tuple[PromptImage, ...] = ()  # in order
    constraint: Callable[[], Constraint] | None = None  # called once for each choice

    def __post_init__(self) -> None:
        if not self.prompt or self.max_tokens < 1 or self.choices < 1:
            raise ValueError(
                f"expected a prompt, max_tokens and choices of at least 1, got "
                f"{len(self.prompt)} prompt tokens, max_tokens {self.max_tokens} and "
                f"choices {self.choices}"
            )
        if abs(self.priority) > MAX_PRIORITY:
            raise ValueError(
                f"expected a priority from {-MAX_PRIORITY} to {MAX_PRIORITY}, got {self.priority}"
            )
        end = 0
        for image in self.images:
            if not end <= image.start < image.end <= len(self.prompt):
                raise ValueError(
                    f"an image stands at tokens {image.start} to {image.end} of a prompt of "
                    f"{len(self.prompt)}, or over the one before it"
                )
            end = image.end


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that a request spent in each stage."""

    queue: float  # until it joined the batch
    prefill: float  # from there to its first token
    decode: float  # from there to its last
    encode: float = 0.0  # before the queue, until its images were embeddings
    device: float = 0.0  # in the runtime meanwhile: part of prefill and decode

    @property
    def in_engine(self) -> float:
        """Seconds from its arrival at the engine to the first token."""
        return self.queue + self.prefill

    @property
    def time_to_first_token(self) -> float:
        """Seconds to the first token, all stages before it together."""
        return self.encode + self.queue + self.prefill


class TokenEvent(NamedTuple):
    """One token of an answer; the last one of a choice carries why it is the last."""

    token: int
    timings: Timings
    finish: FinishReason | None = None
    choice: int = 0
    logprob: float | None = None  # where the request asked for it
    top: tuple[tuple[int, float], ...] = ()  # the likeliest tokens with theirs
    cached: int = 0  # tokens of the prompt that were at hand when the choice first joined


@dataclass(slots=True, eq=False)
class Sequence:
    """One choice of a request on its way through the engine; owned by the engine's thread.

    `computed` tokens have their keys and values in `blocks`. A sequence that lost its blocks
    computes prompt and answer again, as if both had been its prompt.
    """

    request: Request
    arrived: float
    choice: int = 0
    siblings: tuple["Sequence", ...] = ()  # the request's other choices
    rank: tuple[float, int] = (0.0, 0)  # lower is more senior; the scheduler's
    tokens: list[int] = field(default_factory=list)
    computed: int = 0
    blocks: list[int] = field(default_factory=list)  # a list of its own each time it joins
    keys: list[bytes] = field(default_factory=list)  # of its full blocks, as far as known
    is_waiting: bool = True  # for a place in the batch, for the first time or again
    joined: float | None = None
    device_joined: float | None = None  # what the device clock showed then
    cached: int | None = None  # tokens of the prompt that were at hand when it first joined
    first_token: float | None = None
    sampler: Sampler | None = None  # from the first draw on

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
        tokens = len(self.tokens)
        return tokens - self.computed == 1 and tokens > len(self.request.prompt)

    def append(self, token: int, *, ends: bool = False) -> FinishReason | None:
        """Add a drawn token; return why the answer ends with it, if it does."""
        tokens, request = self.tokens, self.request
        tokens.append(token)
        if ends or token in request.stop_tokens:
            return FinishReason.STOP
        is_full = len(tokens) - len(request.prompt) == request.max_tokens
        return FinishReason.LENGTH if is_full else None

    def timings(self, now: float, device: float = 0.0) -> Timings:
        """Return the stages up to `now`, when a token is given out.

        `device` is what the device clock shows: the seconds that the runtime has run, ever.
        """
        joined = now if self.joined is None else self.joined
        first = now if self.first_token is None else self.first_token
        ran = 0.0 if self.device_joined is None else device - self.device_joined
        return Timings(joined - self.arrived, first - joined, now - first, device=ran)


def sequences_of(request: Request, arrived: float) -> list[Sequence]:
    """Return the sequences of all choices of a request, each knowing the others."""
    choices = [Sequence(request, arrived, choice) for choice in range(request.choices)]
    if len(choices) > 1:
        for one in choices:
            one.siblings = tuple(other for other in choices if other is not one)
    return choices
