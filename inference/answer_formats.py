"""The formats that a request may ask of its answer, small enough to be compiled and followed."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

# Beyond these, following a format takes seconds for one token, and everybody waits.
_LARGEST_SCHEMA = 2**16  # characters, as JSON
_LONGEST_TEXT = 2**12  # of a schema: its patterns among others
_LONGEST_GRAMMAR = 2**13
_MOST_TEXTS = 1000

_Choice = Annotated[str, StringConstraints(min_length=1)]
_Grammar = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_GRAMMAR)]


class Strict(BaseModel):
    """Part of a request. "5" is no number; extra fields are kept, to be told from each other."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    size = len(json.dumps(schema))
    if size > _LARGEST_SCHEMA:
        raise ValueError(f"a schema of {size} characters is too large; {_LARGEST_SCHEMA} are read")
    if _longest_text(schema) > _LONGEST_TEXT:
        raise ValueError(f"a text within the schema is longer than {_LONGEST_TEXT} characters")
    return schema


def _longest_text(value: object) -> int:
    """Return the length of the longest text in a JSON value, the names of fields included."""
    match value:
        case str():
            return len(value)
        case dict():
            return max(map(_longest_text, (*value, *value.values())), default=0)
        case list():
            return max(map(_longest_text, value), default=0)
    return 0


_JsonSchema = Annotated[dict[str, Any], AfterValidator(_bounded)]


def _of_bounded_length(texts: list[str]) -> list[str]:
    size = sum(map(len, texts))
    if size > _LARGEST_SCHEMA:
        raise ValueError(f"{size} characters are too many; {_LARGEST_SCHEMA} are read")
    return texts


_Choices = Annotated[
    list[_Choice],
    Field(min_length=1, max_length=_MOST_TEXTS, fail_fast=True),
    AfterValidator(_of_bounded_length),
]


class JsonSchema(Strict):
    """The schema of an answer; `strict` or not, it is enforced."""

    name: str = "answer"
    schema_: _JsonSchema = Field(alias="schema")


class AnyText(Strict):
    """An answer of any format."""

    type: Literal["text"]


class AnyObject(Strict):
    """An answer that is a JSON object."""

    type: Literal["json_object"]


class BySchema(Strict):
    """An answer that a JSON schema describes."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class StructuredOutputs(Strict):
    """A format in vLLM's words; exactly one must be given."""

    json_: _JsonSchema | None = Field(None, alias="json")
    regex: _Grammar | None = None
    choice: _Choices | None = None
    grammar: _Grammar | None = None
