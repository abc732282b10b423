"""Durations as people write them, such as 90s, 60m, 1h30m or 2d."""

import math
import re
from dataclasses import dataclass

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(
    r"(\d+(?:\.\d+)?)\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d|weeks?|w)"
)
_BARE = re.compile(r"\d+(?:\.\d+)?")
_EXAMPLES = "such as 90s, 60m, 6h, 1h30m or 2d"
_LONGEST = 100 * 365 * 86_400.0


class DurationError(ValueError):
    """A duration cannot be read."""


@dataclass(frozen=True, slots=True)
class Span:
    """How far ahead: a time, or a number of steps where the step is known later."""

    seconds: float | None = None
    steps: int | None = None

    def steps_of(self, step: float) -> int:
        """Return the number of steps of `step` seconds that cover the span."""
        if self.seconds is None:
            return self.steps or 1
        return max(1, math.ceil(self.seconds / step - 1e-9))


def parse_duration(text: str) -> float:
    """Return the seconds of a duration; a bare number is seconds already."""
    asked = text.strip().lower()
    if _BARE.fullmatch(asked):
        return _positive(float(asked), text)
    if not asked or _PART.sub("", asked).strip():
        raise DurationError(f"expected a duration, {_EXAMPLES}, got {text!r}")
    parts = _PART.findall(asked)
    return _positive(sum(float(amount) * _SECONDS[unit[0]] for amount, unit in parts), text)


def parse_delay(text: str) -> float:
    """Return the seconds of a duration that may be none at all."""
    return 0.0 if _BARE.fullmatch(text.strip()) and not float(text) else parse_duration(text)


def parse_span(text: str) -> Span:
    """Return how far ahead; a bare whole number counts steps."""
    asked = text.strip()
    if not _BARE.fullmatch(asked):
        return Span(seconds=parse_duration(text))
    if not asked.isdigit() or not 0 < int(asked) <= 1_000_000:  # noqa: PLR2004 - steps
        raise DurationError(
            f"expected a duration, {_EXAMPLES}, or a whole number of steps, got {text!r}"
        )
    return Span(steps=int(asked))


def _positive(seconds: float, text: str) -> float:
    if not 0 < seconds <= _LONGEST:
        raise DurationError(f"expected a duration above 0 s and below 100 years, got {text!r}")
    return seconds
