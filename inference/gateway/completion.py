"""A completion request as the gateway reads it: just enough to route, count and pass it on."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Never

from inference.gateway.errors import BadRequestError


class Operation(StrEnum):
    """What is asked for; the value is `gen_ai.operation.name`."""

    CHAT = "chat"
    TEXT = "text_completion"

    @property
    def path(self) -> str:
        """Path of the operation, the same at the gateway and at a replica."""
        return "/v1/chat/completions" if self is Operation.CHAT else "/v1/completions"


@dataclass(frozen=True, slots=True)
class Completion:
    """One request for a completion, and the bytes that a replica gets."""

    operation: Operation
    model: str
    payload: bytes
    streams: bool = False
    wants_usage: bool = False


def read_completion(operation: Operation, body: bytes) -> Completion:
    """Read a request's body; a stream is made to report its usage, so that tokens are counted."""
    fields = _read_object(body)
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequestError(
            "`model` must be the name of a model; GET /v1/models lists them.", param="model"
        )
    options = fields.get("stream_options") or {}
    if fields.get("stream") is not True or not isinstance(options, dict):
        return Completion(operation, model, body)  # the replica judges the rest
    if options.get("include_usage") is True:
        return Completion(operation, model, body, streams=True, wants_usage=True)
    asked = fields | {"stream_options": options | {"include_usage": True}}
    return Completion(operation, model, json.dumps(asked).encode(), streams=True)


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(
            f"The body is not valid JSON ({error}); send one JSON object encoded as UTF-8."
        ) from error
    if not isinstance(fields, dict):
        kind = type(fields).__name__
        raise BadRequestError(f"The body must be a JSON object, got a JSON {kind}.")
    return fields


def _reject_constant(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")
