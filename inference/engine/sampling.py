"""From logits to the next tokens: each choice draws its own, whoever shares its batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.engine.choosing import Cuts, choose_tokens
from inference.engine.errors import DrawError
from inference.engine.logprobs import Likelihood, likelihoods
from inference.engine.penalties import Penalties

_64_BITS = 2**64 - 1
_COLDEST = 1e-6  # below it the likeliest token is certain, and dividing would overflow


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a request wants its tokens drawn; the defaults are OpenAI's."""

    temperature: float = 1.0
    top_k: int = 0  # 0 considers the whole vocabulary
    top_p: float = 1.0
    min_p: float = 0.0  # of the likeliest token's probability
    seed: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()  # added to the logits of these tokens
    logprobs: int | None = None  # alternatives to report; 0 reports the drawn token only

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.top_k < 0 or not 0 <= self.top_p <= 1:
            raise ValueError(
                f"expected temperature and top_k of 0 or more and top_p from 0 to 1, got {self}"
            )
        if not 0 <= self.min_p <= 1 or not self.repetition_penalty > 0:
            raise ValueError(
                f"expected min_p from 0 to 1 and a repetition_penalty above 0, got {self}"
            )

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is certain to be drawn."""
        return self.temperature < _COLDEST or self.top_k == 1

    @property
    def penalises(self) -> bool:
        """Whether what was said before counts."""
        neutral = (1.0, 0.0, 0.0)
        penalties = (self.repetition_penalty, self.presence_penalty, self.frequency_penalty)
        return penalties != neutral


GREEDY = Sampling(temperature=0.0)


class Constraint(Protocol):
    """What an answer must look like; one choice's, and as far as it has come."""

    def mask(self, logits: NDArray[np.float32]) -> None:
        """Set the logits [V] of tokens that must not follow to -inf, in place."""
        ...

    def accept(self, token: int) -> None:
        """Take in the token that was drawn; DrawError where it must not follow."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether nothing may follow."""
        ...


class Drawn(NamedTuple):
    """A drawn token, with the log-probabilities that were asked for.

    They are the model's own, the log-softmax of its logits before any setting of the request,
    as OpenAI reports them. `ends` where the answer is complete with this token.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    ends: bool = False


class Sampler:
    """Draws the tokens of one choice of a request, one per position.

    The draw at a position depends on the seed, the choice and the position alone. It belongs to
    the sequence: a sequence that is computed again draws no token again.
    """

    def __init__(
        self,
        sampling: Sampling,
        prompt: Sequence[int],
        *,
        vocabulary: int,
        choice: int = 0,
        constraint: Constraint | None = None,
    ) -> None:
        if any(not 0 <= token < vocabulary for token, _ in sampling.logit_bias):
            raise ValueError(f"logit_bias names a token outside the vocabulary of {vocabulary}")
        self.sampling = sampling
        self.is_greedy = sampling.is_greedy
        self._constraint = constraint
        self._bias = _bias(sampling)
        self._penalties = _penalties(sampling, prompt) if sampling.penalises else None
        self._uniforms = None if self.is_greedy else _uniforms(sampling.seed, choice)
        self.shapes = bool(self._penalties or self._bias or self._constraint)
        self.is_plain = self.is_greedy and not self.shapes and sampling.logprobs is None

    def shape(self, logits: NDArray[np.float32]) -> None:
        """Apply bias, penalties and constraint to one row of logits [V], in place."""
        if self._bias is not None:
            tokens, values = self._bias
            logits[tokens] += values
        if self._penalties is not None:
            self._penalties.apply(logits)
        if self._constraint is not None:
            self._constraint.mask(logits)

    def uniform(self) -> float:
        """Return the next position's number from 0 to below 1."""
        return 0.0 if self._uniforms is None else float(self._uniforms.random())

    def accept(self, token: int) -> bool:
        """Take in the drawn token; return whether the answer is complete with it."""
        if self._penalties is not None:
            self._penalties.count(token)
        if self._constraint is None:
            return False
        self._constraint.accept(token)
        return self._constraint.is_complete


def draw(logits: NDArray[np.float32], samplers: Sequence[Sampler]) -> list[Drawn | DrawError]:
    """Draw one token per row of logits [B, V] and advance its sampler.

    A row that nothing can be drawn from, for its logits are not finite or its constraint is
    stuck, has a DrawError in its place: its request is over, the others go on. A logit of
    -inf is a token that the model excludes.
    """
    tokens = logits.argmax(axis=1)
    errors = _not_finite(logits)
    if not errors and all(sampler.is_plain for sampler in samplers):
        return [Drawn(token) for token in tokens.tolist()]
    shaped = _shape(logits, samplers, tokens, errors)
    _roll(shaped, samplers, tokens, errors)
    reports = _reports(logits, samplers, tokens, errors)
    return [
        errors.get(row) or _advance(sampler, int(tokens[row]), reports.get(row))
        for row, sampler in enumerate(samplers)
    ]


def _not_finite(logits: NDArray[np.float32]) -> dict[int, DrawError]:
    """Return an error for each row with a NaN, an infinity, or every token excluded."""
    peaks = logits.max(axis=1).tolist()  # NaN is larger than anything else
    if isfinite(sum(peaks)):
        return {}
    return {
        row: DrawError("the model computed no finite logits for this request")
        for row, peak in enumerate(peaks)
        if not isfinite(peak)
    }


def _shape(
    logits: NDArray[np.float32],
    samplers: Sequence[Sampler],
    best: NDArray[np.intp],
    errors: dict[int, DrawError],
) -> NDArray[np.float32]:
    """Return the logits to draw from, and correct `best` and `errors` by them."""
    rows = [row for row, one in enumerate(samplers) if one.shapes and row not in errors]
    if not rows:
        return logits
    shaped = logits.copy()
    for row in rows:
        try:
            samplers[row].shape(shaped[row])
        except DrawError as error:
            errors[row] = error
            continue
        best[row] = shaped[row].argmax()
        if shaped[row, best[row]] == -np.inf:
            errors[row] = DrawError("the required format leaves no token that could follow")
    return shaped


def _roll(
    logits: NDArray[np.float32],
    samplers: Sequence[Sampler],
    tokens: NDArray[np.intp],
    errors: dict[int, DrawError],
) -> None:
    """Replace the likeliest token where a request leaves it to chance."""
    rows = [row for row, one in enumerate(samplers) if not one.is_greedy and row not in errors]
    if not rows:
        return
    of = logits if len(rows) == len(logits) else logits[rows]
    uniforms = np.array([samplers[row].uniform() for row in rows])
    tokens[rows] = choose_tokens(of, _cuts([samplers[row].sampling for row in rows]), uniforms)


def _cuts(samplings: Sequence[Sampling]) -> Cuts:
    return Cuts(
        temperature=np.array([one.temperature for one in samplings], np.float64),
        top_k=np.array([one.top_k for one in samplings], np.int64),
        top_p=np.array([one.top_p for one in samplings], np.float64),
        min_p=np.array([one.min_p for one in samplings], np.float64),
    )


def _reports(
    logits: NDArray[np.float32],
    samplers: Sequence[Sampler],
    tokens: NDArray[np.intp],
    errors: dict[int, DrawError],
) -> dict[int, Likelihood]:
    """Return the log-probabilities of the rows that ask for them."""
    counts = {
        row: one.sampling.logprobs
        for row, one in enumerate(samplers)
        if one.sampling.logprobs is not None and row not in errors
    }
    if not counts:
        return {}
    rows = list(counts)
    return dict(
        zip(rows, likelihoods(logits[rows], tokens[rows], list(counts.values())), strict=True)
    )


def _advance(sampler: Sampler, token: int, report: Likelihood | None) -> Drawn | DrawError:
    try:
        ends = sampler.accept(token)
    except DrawError as error:
        return error
    logprob, top = report or (None, ())
    return Drawn(token, logprob, top, ends)


def _bias(sampling: Sampling) -> tuple[NDArray[np.intp], NDArray[np.float32]] | None:
    if not sampling.logit_bias:
        return None
    tokens, values = zip(*sampling.logit_bias, strict=True)
    return np.array(tokens, np.intp), np.array(values, np.float32)


def _penalties(sampling: Sampling, prompt: Sequence[int]) -> Penalties:
    return Penalties(
        prompt,
        repetition=sampling.repetition_penalty,
        presence=sampling.presence_penalty,
        frequency=sampling.frequency_penalty,
    )


def _uniforms(seed: int, choice: int) -> np.random.Generator:
    """Return a stream of numbers of this choice's own; its n-th number is the n-th position's."""
    key = np.array([seed & _64_BITS, choice], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
