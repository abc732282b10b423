"""The chat template of a model: a conversation in, the text that it was trained to see out."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

Message = Mapping[str, Any]  # `role`, and `content`: a text or a list of parts
_PROBE = "a probe of content"


class ChatTemplateError(ValueError):
    """The chat template refuses these messages, or the model has none."""


class ChatTemplate:
    """A compiled template, and whether it takes a message's content as text, as parts or both.

    Parts are Hugging Face's: {"type": "text", "text": ...} and {"type": "image"}.
    """

    def __init__(self, source: str, *, marks: Mapping[str, str] | None = None) -> None:
        self._template = _compile(source)
        self._marks = dict(marks or {})
        self.takes_parts = self._shows([{"type": "text", "text": _PROBE}])
        # Where neither shows, one user alone is refused: most templates take texts.
        self.takes_text = self._shows(_PROBE) or not self.takes_parts

    def render(self, messages: Sequence[Message]) -> str:
        """Return a conversation as text, up to where the assistant is to speak."""
        adapted = [{**one, "content": self._adapted(one.get("content"))} for one in messages]
        try:
            return self._rendered(adapted)
        except Exception as error:
            raise ChatTemplateError(f"the model's chat template refuses: {error}") from error

    def _rendered(self, messages: Sequence[Message]) -> str:
        # Templates written for transformers ask whether these are None.
        return self._template.render(
            messages=messages,
            add_generation_prompt=True,
            tools=None,
            documents=None,
            **self._marks,
        )

    def _shows(self, content: Any) -> bool:
        """Return whether the text of a content comes out, and not the list that held it."""
        try:
            shown = self._rendered([{"role": "user", "content": content}])
        except Exception:  # noqa: BLE001 - a template is somebody's program: it may fail in any way
            return False
        return _PROBE in shown and not any(f"{quote}type{quote}" in shown for quote in "'\"")

    def _adapted(self, content: Any) -> Any:
        if isinstance(content, list):
            return content if self.takes_parts else "".join(map(self._flattened, content))
        if self.takes_text or content is None:
            return content
        return [{"type": "text", "text": content}]

    def _flattened(self, part: Mapping[str, Any]) -> str:
        if part.get("type") == "text":
            return str(part["text"])
        mark = self._marks.get(f"{part.get('type')}_token")
        if mark is None:
            raise ChatTemplateError(
                f"this model's chat template has no place for parts of type {part.get('type')!r}"
            )
        return mark


class _Generation(Extension):
    """Lets templates mark, for training, what the assistant said; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - the library's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _compile(source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[LoopControlExtension, _Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    return environment.from_string(source)


def _to_json(value: Any, indent: int | None = None, *, ensure_ascii: bool = False) -> str:
    """Write JSON as it stands: Jinja's own filter would escape it for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    """Let a template refuse a conversation, as Hugging Face's do."""
    raise TemplateError(message)
