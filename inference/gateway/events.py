"""Server-sent events of a completion: split from the byte stream untouched, and understood."""

import json
import re
from dataclasses import dataclass
from typing import Any

from inference.gateway.timeline import Usage

LONGEST_EVENT_BYTES = 4 * 1024**2
_END_OF_EVENT = re.compile(rb"\r?\n\r?\n")
_DATA = re.compile(rb"^data: ?(.*?)\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its bytes as they came, and what they mean."""

    raw: bytes
    has_content: bool = False
    usage: Usage | None = None
    is_usage_only: bool = False
    is_done: bool = False
    is_error: bool = False


class Splitter:
    """Cuts a byte stream into whole events; what is not whole yet waits."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events that `data` completes, each with its closing blank line."""
        buffer, start, events = self._rest + data, 0, []
        for end in _END_OF_EVENT.finditer(buffer):
            events.append(buffer[start : end.end()])
            start = end.end()
        self._rest = buffer[start:]
        if len(self._rest) > LONGEST_EVENT_BYTES:
            raise ValueError(f"an event of the stream exceeds {LONGEST_EVENT_BYTES} bytes")
        return events


def read_event(raw: bytes) -> Event:
    """Understand one event; what is neither content, usage, error nor end is passed through."""
    data = b"\n".join(_DATA.findall(raw))
    if data.strip() == b"[DONE]":
        return Event(raw, is_done=True)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return Event(raw)
    if not isinstance(body, dict):
        return Event(raw)
    usage = read_usage(body)
    return Event(
        raw,
        has_content=any(_has_content(choice) for choice in _choices(body)),
        usage=usage,
        is_usage_only=usage is not None and not _choices(body),
        is_error="error" in body,
    )


def read_usage(body: dict[str, Any]) -> Usage | None:
    """Return the token counts of an answer, if it carries them."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    return Usage(prompt, completion) if min(prompt, completion) >= 0 else None


def _choices(body: dict[str, Any]) -> list[Any]:
    choices = body.get("choices")
    return choices if isinstance(choices, list) else []


def _has_content(choice: Any) -> bool:
    if not isinstance(choice, dict):
        return False
    delta = choice.get("delta")
    if isinstance(delta, dict):
        return any(value for key, value in delta.items() if key != "role")
    return bool(choice.get("text"))
