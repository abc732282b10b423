"""Server-sent events of a completion: split from the byte stream untouched, and understood."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference.gateway.timeline import ReplicaTimings, Usage

LONGEST_EVENT_BYTES = 4 * 1024**2
_END_OF_EVENT = re.compile(rb"\r?\n\r?\n")
_DATA = re.compile(rb"^data: ?(.*?)\r?$", re.MULTILINE)
_TIMINGS = b": timings "
_STAGES = ("queue", "encode", "prefill", "decode", "device")
# The usual piece of text, understood without reading all of its JSON. Within a string of the
# answer these words would have their quotes escaped, and so not be found.
_CONTENT = re.compile(rb'"(?:content|text)": ?"[^"]')
_INDEX = re.compile(rb'"index": ?(\d{1,4})\b')
_NOT_USUAL = re.compile(rb'"(?:usage": ?\{|error":)|\n.*\S')
KEEP_ALIVE = b": keep-alive\n\n"


# Under the names of the OpenTelemetry GenAI conventions.
ResponseAttributes = dict[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its bytes as they came, and what they mean."""

    raw: bytes
    has_content: bool = False
    choice: int = 0  # that the content belongs to; the first, where it is of several
    usage: Usage | None = None
    timings: ReplicaTimings | None = None  # a comment of the replica for the gateway
    is_usage_only: bool = False
    is_done: bool = False
    is_error: bool = False
    response: ResponseAttributes | None = None  # what it tells of the answer as a whole


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
    if (usual := _read_usual(raw)) is not None:
        return usual
    if raw.startswith(_TIMINGS):
        return Event(raw, timings=read_timings(raw[len(_TIMINGS) :]))
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
    told = [choice for choice in _choices(body) if _has_content(choice)]
    return Event(
        raw,
        has_content=bool(told),
        choice=_index(told[0]) if told else 0,
        usage=usage,
        is_usage_only=usage is not None and not _choices(body),
        is_error="error" in body,
        response=response_attributes(body),
    )


def response_attributes(body: Mapping[str, object]) -> ResponseAttributes:
    """Return what a whole answer, or one event of a stream, tells under `gen_ai.response.*`."""
    told: ResponseAttributes = {}
    for name in ("id", "model"):
        if isinstance(value := body.get(name), str):
            told[f"gen_ai.response.{name}"] = value
    choices = body.get("choices")
    reasons = [
        choice["finish_reason"]
        for choice in (choices if isinstance(choices, list) else [])
        if isinstance(choice, dict) and isinstance(choice.get("finish_reason"), str)
    ]
    return {**told, "gen_ai.response.finish_reasons": reasons} if reasons else told


def read_usage(body: dict[str, Any]) -> Usage | None:
    """Return the token counts of an answer, if it carries them."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    return Usage(prompt, completion) if min(prompt, completion) >= 0 else None


def _read_usual(raw: bytes) -> Event | None:
    """Understand an event of one line that adds text to one choice."""
    if not raw.startswith(b"data: {") or _CONTENT.search(raw) is None or _NOT_USUAL.search(raw):
        return None
    indices = _INDEX.findall(raw)
    return Event(raw, has_content=True, choice=int(indices[0])) if len(indices) == 1 else None


def read_timings(text: str | bytes) -> ReplicaTimings | None:
    """Return the stages that a replica reports, if it does."""
    try:
        fields = json.loads(text)
        seconds = {name: float(fields.get(name, 0.0)) for name in _STAGES}
        is_told = all(math.isfinite(one) and one >= 0 for one in seconds.values())
    except (ValueError, TypeError, AttributeError):
        return None
    return ReplicaTimings(**seconds) if is_told and "prefill" in fields else None


def _choices(body: dict[str, Any]) -> list[Any]:
    choices = body.get("choices")
    return choices if isinstance(choices, list) else []


def _index(choice: dict[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _has_content(choice: Any) -> bool:
    if not isinstance(choice, dict):
        return False
    delta = choice.get("delta")
    if isinstance(delta, dict):
        return any(value for key, value in delta.items() if key != "role")
    return bool(choice.get("text"))
