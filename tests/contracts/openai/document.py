"""OpenAI's API as OpenAPI documents, from the types of its client or from its official file."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming as ChatParams,
)
from openai.types.completion_create_params import (
    CompletionCreateParamsNonStreaming as TextParams,
)
from openai.types.embedding_create_params import EmbeddingCreateParams

from tests.contracts.openai.schema import schema_of

Schema = dict[str, Any]
CHAT, TEXT, EMBEDDINGS = "/chat/completions", "/completions", "/embeddings"
MODELS = "/models"
REFUSALS = (400, 401, 404, 413, 422, 429, 503)
_TYPES = (
    (CHAT, ChatParams, ChatCompletion),
    (TEXT, TextParams, Completion),
    (EMBEDDINGS, EmbeddingCreateParams, CreateEmbeddingResponse),
)
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "minLength": 1},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def whole(low: int, high: int) -> Schema:
    """Name them one by one: 1.0 is an integer to JSON Schema, and none to the API."""
    return {"enum": [*range(low, high + 1)]}


def number(low: float, high: float) -> Schema:
    return {"type": "number", "minimum": low, "maximum": high}


def some(items: Schema, most: int) -> Schema:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


WORDS = {"type": "string", "minLength": 1, "maxLength": 20}
TOKENS = some(whole(0, 255), 20)
PROMPTS = {"anyOf": [WORDS, some(WORDS, 3), TOKENS, some(TOKENS, 3)]}
WIDTH = 6  # of the vectors of a tiny model
# What is never left open: what would be generated for minutes, and what has but one answer.
CHEAP = {
    "stream": {"const": False},
    "dimensions": {"const": WIDTH},
    "encoding_format": {"const": "float"},  # base64 is no array, as answers are published to be
} | dict.fromkeys(("max_tokens", "max_completion_tokens", "n", "best_of"), whole(1, 3))
NAMES = {CHAT: "tiny", TEXT: "tiny", EMBEDDINGS: "texts"}
SAMPLING = {
    "max_tokens": whole(1, 3),
    "n": whole(1, 3),
    "temperature": number(0, 2),
    "top_p": number(0.01, 1),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "seed": {"enum": [-(2**63), -1, 0, 7, 2**63 - 1]},
    "stop": {"anyOf": [WORDS, some(WORDS, 4)]},
    "user": WORDS,
    "logit_bias": {
        "type": "object",
        "propertyNames": {"pattern": "^[1-9][0-9]?$"},
        "additionalProperties": whole(-100, 100),
    },
}
MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "additionalProperties": False,
    "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": WORDS},
}
# All that has to be answered, and not with an error.
SERVED = {
    CHAT: SAMPLING
    | {
        "messages": some(MESSAGE, 3),
        "max_completion_tokens": whole(1, 3),
        "logprobs": {"type": "boolean"},
        "response_format": {"enum": [{"type": "text"}, {"type": "json_object"}]},
        "service_tier": {"enum": ["auto", "default", "flex", "priority"]},
        "metadata": {"type": "object", "additionalProperties": WORDS, "maxProperties": 3},
        "store": {"type": "boolean"},
    },
    TEXT: SAMPLING | {"prompt": PROMPTS, "logprobs": whole(0, 5)},
    EMBEDDINGS: {
        "input": PROMPTS,
        "encoding_format": {"const": "float"},
        "dimensions": {"const": WIDTH},
        "user": WORDS,
    },
}


def of_types() -> Schema:
    """Describe the paths that are served, by the types of OpenAI's client."""
    schemas: Schema = {}
    paths = {
        path: {"post": _described(_moved(answer, schemas), _moved(params, schemas))}
        for path, params, answer in _TYPES
    }
    models = {"type": "object", "properties": {"data": some(_moved(Model, schemas), 9)}}
    paths[MODELS] = {"get": _described(models)}
    return _document(paths, schemas)


def of_file(path: Path) -> Schema:
    """Cut the paths that are served out of OpenAI's own document."""
    import yaml  # noqa: PLC0415 - schemathesis brings it, and may be missing

    text = path.read_text(encoding="utf-8")
    official = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    paths = {}
    for name, method in ((CHAT, "post"), (TEXT, "post"), (EMBEDDINGS, "post"), (MODELS, "get")):
        operation = official["paths"][name][method]
        body = operation.get("requestBody", {"content": {"application/json": {}}})
        paths[name] = {
            method: _described(
                operation["responses"]["200"]["content"]["application/json"]["schema"],
                body["content"]["application/json"].get("schema"),
            )
        }
    schemas = official["components"]["schemas"]
    return _document(paths, {name: schemas[name] for name in sorted(_reached(paths, schemas))})


def cheap(document: Schema) -> Schema:
    """Bound a document to what takes no time; all else may be asked for, rightly or wrongly."""

    def bound(path: str, known: Schema) -> Schema:
        bounds = {name: one for name, one in CHEAP.items() if name in known}
        if path == CHAT:  # else most of what is made up has no messages, and tests only that
            bounds["messages"] = known["messages"] | {"minItems": 1, "maxItems": 2}
        return known | bounds | _name(path)

    return _bounded(document, bound)


def served(document: Schema) -> Schema:
    """Narrow a document to what has to be answered."""

    def narrow(path: str, known: Schema) -> Schema:
        assert SERVED[path].keys() <= known.keys(), "OpenAI has no such field"
        return SERVED[path] | _name(path)

    return _bounded(document, narrow)


def _document(paths: Schema, schemas: Schema) -> Schema:
    return {
        "openapi": "3.1.0",
        "info": {"title": "the API", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _described(answer: Schema, body: Schema | None = None) -> Schema:
    def told(schema: Schema) -> Schema:
        return {"description": ".", "content": {"application/json": {"schema": schema}}}

    responses = {"200": told(answer)} | {str(status): told(_ERROR) for status in REFUSALS}
    described: Schema = {"responses": responses}
    if body is not None:
        described["requestBody"] = told(body) | {"required": True}
    return described


def _moved(kind: type, schemas: Schema) -> Schema:
    """Return a type's schema, with its definitions moved to where documents keep them."""
    name = f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
    text = json.dumps(schema_of(kind)).replace("#/$defs/", f"#/components/schemas/{name}.")
    schema: Schema = json.loads(text)
    schemas |= {f"{name}.{key}": one for key, one in schema.pop("$defs", {}).items()}
    return schema


def _reached(part: Any, schemas: Schema) -> set[str]:
    """Name the schemas that a part of a document refers to, directly or not."""
    reached: set[str] = set()
    ahead = [*_referred(part)]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += _referred(schemas[name])
    return reached


def _referred(part: Any) -> Iterable[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _referred(one)


def _bounded(document: Schema, bound: Callable[[str, Schema], Schema]) -> Schema:
    paths = json.loads(json.dumps(document["paths"]))
    schemas = document["components"]["schemas"]
    for path, methods in paths.items():
        for operation in methods.values():
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                known, required = _flat(content["schema"], schemas)
                content["schema"] = {
                    "type": "object",
                    "properties": bound(path, known),
                    "required": sorted(required),
                    "additionalProperties": False,
                }
    return document | {"paths": paths}


def _flat(schema: Schema, schemas: Schema) -> tuple[Schema, set[str]]:
    """Return the fields of an object, and which it must have, wherever they are written."""
    if "$ref" in schema:
        return _flat(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    fields, required = dict(schema.get("properties", {})), set(schema.get("required", ()))
    for part in schema.get("allOf", ()):
        more, needed = _flat(part, schemas)
        fields |= more
        required |= needed
    return fields, required


def _name(path: str) -> Schema:
    return {"model": {"const": NAMES[path]}}
