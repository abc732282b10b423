"""Server-sent events: how an answer is streamed."""

import json
from collections.abc import Mapping

from inference.answers import Answer
from inference.errors import ApiError

DONE = b"data: [DONE]\n\n"
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


def event(answer: Answer) -> bytes:
    """Return one event of a stream."""
    return b"data: " + answer.model_dump_json().encode() + b"\n\n"


def comment(name: str, told: Mapping[str, float]) -> bytes:
    """Return a comment of a stream, which clients leave unread."""
    return f": {name} {json.dumps(told)}\n\n".encode()


def error_event(error: ApiError) -> bytes:
    """Return the event that says why a stream breaks off."""
    return b"data: " + json.dumps({"error": error.fields()}).encode() + b"\n\n"
