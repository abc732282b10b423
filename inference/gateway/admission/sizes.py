"""Sizes: how many tokens a request will take, learnt from those that were answered."""

from dataclasses import dataclass
from typing import Protocol

from inference.gateway.timeline import Usage

_GAIN = 0.05  # of each answer: the memory is some twenty requests
_BYTES_PER_TOKEN = 4.0  # of English text
_TOKENS_PER_IMAGE = 256.0
_INPUT_TOKENS = 256.0
_OUTPUT_TOKENS = 256.0
_OUTPUT_SHARE = 0.5  # of max_tokens


class Asked(Protocol):
    """What the size of a request is told from."""

    @property
    def prompt_bytes(self) -> int:
        """Length of its text, without images."""
        ...

    @property
    def max_tokens(self) -> int | None:
        """Most output tokens of one choice, where it sets a bound."""
        ...

    @property
    def images(self) -> int:
        """Number of images in the prompt."""
        ...

    @property
    def choices(self) -> int:
        """Answers that it asks for."""
        ...


@dataclass(frozen=True, slots=True)
class Size:
    """Expected tokens of one request; output is that of one choice."""

    input_tokens: int
    output_tokens: int


class SizeEstimator:
    """Estimates the sizes of one model's requests.

    Output is either a share of max_tokens (clients that set it tightly) or of a length of its
    own (clients that set it as a bound): whichever has been the better guess is used.
    """

    def __init__(self) -> None:
        self._input = _INPUT_TOKENS
        self._bytes_per_token = _BYTES_PER_TOKEN
        self._tokens_per_image = _TOKENS_PER_IMAGE
        self._output = _OUTPUT_TOKENS
        self._share = _OUTPUT_SHARE
        self._output_error = 0.0
        self._share_error = 0.0

    @property
    def mean(self) -> Size:
        """The size of a usual request."""
        return Size(round(self._input), round(self._output))

    def estimate(self, asked: Asked) -> Size:
        """Return the tokens that a request is expected to take."""
        text = asked.prompt_bytes / self._bytes_per_token
        images = asked.images * self._tokens_per_image
        return Size(max(1, round(text + images)), max(1, round(self._output_of(asked.max_tokens))))

    def learn(self, asked: Asked, usage: Usage) -> None:
        """Take in what an answered request took."""
        self._learn_input(asked, usage.input_tokens)
        if usage.output_tokens:
            self._learn_output(asked.max_tokens, usage.output_tokens / max(1, asked.choices))

    def _output_of(self, max_tokens: int | None) -> float:
        if max_tokens is None:
            return self._output
        if self._share_error < self._output_error:
            return self._share * max_tokens
        return min(self._output, max_tokens)

    def _learn_input(self, asked: Asked, tokens: int) -> None:
        self._input += _GAIN * (tokens - self._input)
        if asked.images:
            text = asked.prompt_bytes / self._bytes_per_token
            seen = max(0.0, tokens - text) / asked.images
            self._tokens_per_image += _GAIN * (seen - self._tokens_per_image)
        elif tokens and asked.prompt_bytes:
            seen = asked.prompt_bytes / tokens
            self._bytes_per_token += _GAIN * (seen - self._bytes_per_token)

    def _learn_output(self, max_tokens: int | None, tokens: float) -> None:
        if max_tokens:
            by_share = abs(self._share * max_tokens - tokens)
            by_length = abs(min(self._output, max_tokens) - tokens)
            self._share_error += _GAIN * (by_share - self._share_error)
            self._output_error += _GAIN * (by_length - self._output_error)
            self._share += _GAIN * (tokens / max_tokens - self._share)
        self._output += _GAIN * (tokens - self._output)
