"""Text to tokens and back: a Hugging Face tokenizer, its chat template, and streamed decoding."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer as HuggingFaceTokenizer

from inference.models.spec import ModelError, read_json

_HALF_CHARACTER = "\ufffd"
_MOST_HELD = 64  # a character is 4 bytes at most: so many tokens in a row are no text


class ChatTemplateError(ValueError):
    """The chat template refuses these messages, or the model has none."""


class Tokenizer:
    """The tokenizer of one model."""

    def __init__(
        self,
        vocabulary: HuggingFaceTokenizer,
        *,
        chat_template: str | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        self._vocabulary = vocabulary
        self._marks = dict(marks or {})
        self._chat = _compile(chat_template) if chat_template else None

    @property
    def size(self) -> int:
        """Number of tokens, the special ones included."""
        return int(self._vocabulary.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a plain text, begun as the model was trained to see it."""
        return list(self._vocabulary.encode(text).ids)

    def encode_chat(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the tokens of a conversation, up to where the assistant is to speak."""
        text = self.render_chat(messages)
        return list(self._vocabulary.encode(text, add_special_tokens=False).ids)

    def render_chat(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Return a conversation as the text that the model was trained to see."""
        if self._chat is None:
            raise ChatTemplateError("this model has no chat template; use /v1/completions")
        try:
            return self._chat.render(messages=messages, add_generation_prompt=True, **self._marks)
        except (TemplateError, TypeError, ValueError) as error:
            raise ChatTemplateError(f"the model's chat template refuses: {error}") from error

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, without the special ones."""
        return str(self._vocabulary.decode(list(tokens), skip_special_tokens=True))


class StreamDecoder:
    """Decodes one answer token by token and never gives out half a UTF-8 character.

    The pieces, `finish` included, add up to what decoding all tokens at once gives, as long
    as no run of bytes that are not UTF-8 is longer than `_MOST_HELD` tokens.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._pending: list[int] = []  # a window that starts where a character starts
        self._given = 0  # tokens of the window whose text was given out

    def push(self, token: int) -> str:
        """Return the text that this token completes, possibly none."""
        self._pending.append(token)
        text = self._new_text()
        held = len(self._pending) - self._given
        if not text or (text.endswith(_HALF_CHARACTER) and held < _MOST_HELD):
            return ""
        self._pending = self._pending[self._given :]
        self._given = len(self._pending)
        return text

    def finish(self) -> str:
        """Return what is left when no token will follow."""
        text = self._new_text()
        self._given = len(self._pending)
        return text

    def _new_text(self) -> str:
        # Decoded with the text before it: some decoders treat the first token of a text apart.
        before = self._tokenizer.decode(self._pending[: self._given])
        return self._tokenizer.decode(self._pending)[len(before) :]


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read tokenizer.json and, where present, the chat template beside it."""
    path = folder / "tokenizer.json"
    if not path.exists():
        raise ModelError(f"{path}: no such file; the tokenizer is missing")
    try:
        vocabulary = HuggingFaceTokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(f"{path}: cannot be read as a tokenizer ({error})") from error
    config = folder / "tokenizer_config.json"
    settings = read_json(config) if config.exists() else {}
    try:
        return Tokenizer(
            vocabulary, chat_template=_chat_template(folder, settings), marks=_marks(settings)
        )
    except TemplateError as error:
        raise ModelError(f"{config}: the chat template is broken ({error})") from error


def _chat_template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    beside = folder / "chat_template.jinja"
    if beside.exists():
        return beside.read_text(encoding="utf-8")
    value = settings.get("chat_template")
    if isinstance(value, list):  # several named ones
        value = {one["name"]: one["template"] for one in value}.get("default")
    return value


def _marks(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the special tokens that templates refer to; each is a string or an object."""
    found = {key: settings.get(key) for key in ("bos_token", "eos_token", "pad_token")}
    return {
        key: value["content"] if isinstance(value, dict) else str(value)
        for key, value in found.items()
        if value is not None
    }


def _compile(source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, **options: json.dumps(
        value, ensure_ascii=False, **options
    )
    environment.globals["raise_exception"] = _raise_exception
    return environment.from_string(source)


def _raise_exception(message: str) -> NoReturn:
    """Let a template refuse a conversation, as Hugging Face's do."""
    raise TemplateError(message)
