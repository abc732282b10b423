"""Words of the command line turned into values, each refused with what was expected instead."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from forecaster.cli.durations import DurationError, Span, parse_delay, parse_duration, parse_span

_T = TypeVar("_T")
_DECIMALS = 6  # of a quantile level
_LEVEL = re.compile(r"[pP](\d{1,2}(?:\.\d+)?)")


def duration(text: str) -> float:
    """Return the seconds of a duration."""
    return _refusing(parse_duration, text)


def delay(text: str) -> float:
    """Return the seconds of a duration that may be none."""
    return _refusing(parse_delay, text)


def days(text: str) -> float:
    """Return the seconds of a duration whose bare number counts days."""
    return duration(f"{text}d" if re.fullmatch(r"\d+(\.\d+)?", text.strip()) else text)


def span(text: str) -> Span:
    """Return how far ahead."""
    return _refusing(parse_span, text)


def levels(text: str) -> tuple[float, ...]:
    """Return quantile levels such as 0.5,0.99 or p50,p99, rising and each once."""
    return tuple(sorted({_level(part.strip()) for part in text.split(",")}))


def names(text: str) -> tuple[str, ...]:
    """Return names between commas, each once."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found:
        raise argparse.ArgumentTypeError(f"expected names with commas between, got {text!r}")
    return found


def count(text: str) -> int:
    """Return a whole number above 0."""
    return _whole(text, least=1)


def amount_of(text: str) -> int:
    """Return a whole number, 0 or above."""
    return _whole(text, least=0)


def positive(text: str) -> float:
    """Return a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def picture(text: str) -> Path:
    """Return the file that a picture goes to; its ending says how it is drawn."""
    return _ending(text, (".html", ".htm", ".png", ".svg", ".pdf"))


def card(text: str) -> Path:
    """Return the file that a card goes to; its ending says how it is written."""
    return _ending(text, (".json", ".md"))


def zone(text: str) -> ZoneInfo:
    """Return the time zone of this name."""
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise argparse.ArgumentTypeError(
            f"expected a time zone such as Europe/Berlin, got {text!r}"
        ) from error


def _ending(text: str, endings: tuple[str, ...]) -> Path:
    path = Path(text)
    if path.suffix.lower() not in endings:
        raise argparse.ArgumentTypeError(
            f"expected a file that ends in one of {', '.join(endings)}, got {text!r}"
        )
    return path


def _level(text: str) -> float:
    named = _LEVEL.fullmatch(text)
    try:
        value = float(named[1]) / 100 if named else float(text)
    except ValueError:
        value = 0.0
    rounded = round(value, _DECIMALS) if 0 < value < 1 else 0.0
    if not 0 < rounded < 1:
        raise argparse.ArgumentTypeError(
            f"expected quantiles between 0 and 1 such as 0.5,0.99 or p50,p99, with up to "
            f"{_DECIMALS} decimals, got {text!r}"
        )
    return rounded


def _whole(text: str, *, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} on, got {text!r}")
    return value


def _refusing(parse: Callable[[str], _T], text: str) -> _T:
    try:
        return parse(text)
    except DurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
