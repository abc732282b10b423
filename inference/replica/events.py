"""Server-sent events: how an answer is streamed."""

import json

from inference.api import Answer

DONE = b"data: [DONE]\n\n"
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


def event(answer: Answer) -> bytes:
    """Return one event of a stream."""
    return b"data: " + answer.model_dump_json().encode() + b"\n\n"


def error_event(message: str, *, code: str) -> bytes:
    """Return the event that says why a stream breaks off."""
    error = {"message": message, "type": "server_error", "param": None, "code": code}
    return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
