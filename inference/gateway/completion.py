"""A request as the gateway reads it: what it takes to route, count, share and pass it on."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Never

from inference.api import MOST_CHOICES
from inference.gateway.canonical import digest_of
from inference.gateway.errors import BadRequestError
from inference.gateway.prompt import (
    PromptSize,
    bounded,
    pieces_of_chat,
    pieces_of_prompts,
    size_of_chat,
    size_of_prompts,
)
from inference.gateway.tenancy.priority import Priority

_LARGE_BYTES = 2**18  # bodies beyond it are read beside the event loop
_LONGEST_SESSION = 256
_SESSION_FIELDS = ("session_id", "session", "conversation_id")  # of `metadata`
_TIERS = {"priority": Priority.INTERACTIVE, "flex": Priority.BATCH}
_PLACES = {Priority.INTERACTIVE: -1, Priority.STANDARD: 0, Priority.BATCH: 1}  # at a replica
# Fields that spans show, under the names of the GenAI conventions.
_SHOWN = (
    ("temperature", "gen_ai.request.temperature"),
    ("top_p", "gen_ai.request.top_p"),
    ("top_k", "gen_ai.request.top_k"),
    ("seed", "gen_ai.request.seed"),
    ("n", "gen_ai.request.choice.count"),
    ("frequency_penalty", "gen_ai.request.frequency_penalty"),
    ("presence_penalty", "gen_ai.request.presence_penalty"),
)
_LARGEST_SHOWN = 2**63  # what a span can hold


class Operation(StrEnum):
    """What is asked for; the value is `gen_ai.operation.name`."""

    CHAT = "chat"
    TEXT = "text_completion"
    EMBEDDINGS = "embeddings"

    @property
    def path(self) -> str:
        """Path of the operation, the same at the gateway and at a replica."""
        return _PATHS[self]


_PATHS = {
    Operation.CHAT: "/v1/chat/completions",
    Operation.TEXT: "/v1/completions",
    Operation.EMBEDDINGS: "/v1/embeddings",
}
_PROMPTS = {Operation.TEXT: "prompt", Operation.EMBEDDINGS: "input"}


@dataclass(frozen=True)
class Completion:
    """One request, and the bytes that a replica gets; what not every request needs is read late.

    A field that is malformed reads as if it were absent: the replica judges it.
    """

    operation: Operation
    model: str
    payload: bytes
    streams: bool = False
    wants_usage: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def max_tokens(self) -> int | None:
        """The most tokens that the answer may have, where the request bounds them."""
        for name in ("max_completion_tokens", "max_tokens"):
            value = _integer(self.fields.get(name))
            if value is not None and value > 0:
                return value
        return None

    @property
    def choices(self) -> int:
        """Answers to be generated: `n` for each of its prompts; at least 1."""
        if self.operation is Operation.EMBEDDINGS:
            return 1
        n = _integer(self.fields.get("n"))
        return self._size.prompts * (n if n is not None and 0 < n <= MOST_CHOICES else 1)

    @property
    def images(self) -> int:
        """Number of images in the prompt."""
        return self._size.images

    @property
    def has_images(self) -> bool:
        """Whether only a model that sees can answer."""
        return self._size.images > 0

    @property
    def prompt_bytes(self) -> int:
        """Size of the prompt's text as UTF-8; a token given by its number counts as 4."""
        return self._size.text_bytes

    @property
    def prompt(self) -> Iterator[bytes]:
        """The beginning of the prompt, message by message, as it is told from other prompts."""
        if self.operation is Operation.EMBEDDINGS:
            return iter(())  # no replica keeps what it computes for them
        if self.operation is Operation.TEXT:
            return bounded(pieces_of_prompts(self.fields.get("prompt")))
        return bounded(pieces_of_chat(self.fields.get("messages")))

    @property
    def session(self) -> str | None:
        """The conversation, or else the user, that the request names."""
        metadata = self.fields.get("metadata")
        within = metadata if isinstance(metadata, dict) else {}
        named = (
            self.fields.get("prompt_cache_key"),
            *(within.get(name) for name in _SESSION_FIELDS),
            self.fields.get("user"),
        )
        return next(
            (one[:_LONGEST_SESSION] for one in named if one and isinstance(one, str)), None
        )

    @property
    def priority(self) -> Priority:
        """The class that the request asks for: by OpenAI's service tier, or by its `priority`."""
        tier, place = self.fields.get("service_tier"), _integer(self.fields.get("priority"))
        if isinstance(tier, str) and tier in _TIERS:
            return _TIERS[tier]
        if tier is not None or not place:
            return Priority.STANDARD
        return Priority.INTERACTIVE if place < 0 else Priority.BATCH

    @property
    def is_deterministic(self) -> bool:
        """Whether asking again gives the same answer."""
        if self.operation is Operation.EMBEDDINGS:
            return True
        if _integer(self.fields.get("seed")) is not None:
            return True
        return _number(self.fields.get("temperature")) == 0 and self.fields.get("n") in (None, 1)

    @cached_property
    def digest(self) -> bytes | None:
        """Hash of all that the answer depends on, but for operation and model."""
        return digest_of(self._without_priority, has_images=self.has_images)

    @property
    def sampling(self) -> dict[str, str | bool | int | float | list[str]]:
        """What spans tell of the request: `gen_ai.request.*`."""
        shown: dict[str, str | bool | int | float | list[str]] = {}
        for name, attribute in _SHOWN:
            value = _number(self.fields.get(name))
            if value is not None and abs(value) < _LARGEST_SHOWN:
                shown[attribute] = value
        if self.max_tokens is not None and self.max_tokens < _LARGEST_SHOWN:
            shown["gen_ai.request.max_tokens"] = self.max_tokens
        if stops := _texts(self.fields.get("stop")):
            shown["gen_ai.request.stop_sequences"] = stops
        if self.streams:
            shown["gen_ai.request.stream"] = True
        return shown

    def payload_with(self, priority: Priority) -> bytes:
        """Return the payload for a replica that serves by priority; the usual class needs none."""
        if priority is Priority.STANDARD or "priority" in self._without_priority:
            return self.payload  # of what is malformed the replica tells the client
        return _extended(self.payload, {"priority": _PLACES[priority]})

    @cached_property
    def _size(self) -> PromptSize:
        if self.operation is Operation.CHAT:
            return size_of_chat(self.fields.get("messages"))
        return size_of_prompts(self.fields.get(_PROMPTS[self.operation]))

    @property
    def _without_priority(self) -> Mapping[str, Any]:
        """The fields but for a valid `priority`, which is the gateway's to give."""
        return _without_priority(self.fields)


def read_completion(operation: Operation, body: bytes) -> Completion:
    """Read a request's body; a stream is made to report its usage, so that tokens are counted."""
    fields = _read_object(body)
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequestError(
            "`model` must be the name of a model; GET /v1/models lists them.", param="model"
        )
    options = fields.get("stream_options") or {}
    streams = fields.get("stream") is True and isinstance(options, dict)
    wants_usage = streams and options.get("include_usage") is True
    more = {"stream_options": options | {"include_usage": True}} if streams else {}
    payload = _payload(body, fields, {} if wants_usage else more)
    ask = Completion(operation, model, payload, streams, wants_usage, fields)
    if len(body) > _LARGE_BYTES:
        _ = ask.digest  # remembered, so that it is not the event loop that waits for it
    return ask


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        fields = _decode(body.decode())
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


_decode = json.JSONDecoder(parse_constant=_reject_constant).decode


def _payload(body: bytes, fields: Mapping[str, Any], more: Mapping[str, Any]) -> bytes:
    """Return the body with `more`: the very bytes that came, wherever they can stay."""
    kept = _without_priority(fields)
    if kept is fields and not any(name in fields for name in more):
        return _extended(body, more) if more else body
    return json.dumps({**kept, **more}).encode()


def _without_priority(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    if _integer(fields.get("priority")) is None:
        return fields
    return {name: value for name, value in fields.items() if name != "priority"}


def _extended(body: bytes, more: Mapping[str, Any]) -> bytes:
    """Add fields to a JSON object that has others already."""
    return body.rstrip()[:-1] + b"," + json.dumps(more)[1:].encode()


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _texts(stop: object) -> list[str]:
    if isinstance(stop, str):
        return [stop]
    return [one for one in stop if isinstance(one, str)] if isinstance(stop, list) else []
