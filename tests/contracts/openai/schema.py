"""OpenAI's published schema, as its own Python client has it: nothing of it is copied here."""

from functools import cache
from typing import Any

import jsonschema
from pydantic import TypeAdapter


def check(kind: type, body: object) -> None:
    """Raise unless a body is one of a kind, with nothing converted and nothing beyond it."""
    _validator(kind).validate(body)


def schema_of(kind: Any) -> dict[str, Any]:
    """Return the JSON schema of one of the client's types."""
    return TypeAdapter(kind).json_schema()


@cache
def _validator(kind: type) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(_closed(schema_of(kind)))


def _closed(schema: Any) -> Any:
    """Forbid fields that are not published, which the client's types let pass."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(one) for name, one in schema.items()}
    return closed | {"additionalProperties": False} if "properties" in schema else closed
