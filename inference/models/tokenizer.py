"""Text to tokens and back: a Hugging Face tokenizer, its chat template, and streamed decoding."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer as HuggingFaceTokenizer

from inference.models.chat_template import ChatTemplate, ChatTemplateError, Message
from inference.models.spec import ModelError, read_json

__all__ = ["ChatTemplateError", "StreamDecoder", "Tokenizer", "load_tokenizer"]

_HALF_CHARACTER = "\ufffd"
_MOST_HELD = 64  # a character is 4 bytes at most: so many tokens without one are no text


class Tokenizer:
    """The tokenizer of one model."""

    def __init__(
        self, vocabulary: HuggingFaceTokenizer, *, chat: ChatTemplate | None = None
    ) -> None:
        self._vocabulary = vocabulary
        self._chat = chat

    @property
    def size(self) -> int:
        """Number of tokens, the special ones included."""
        return int(self._vocabulary.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a plain text, begun as the model was trained to see it."""
        return self._encoded(text, special=True)

    def encode_chat(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of a conversation, up to where the assistant is to speak.

        A message's content is a text, or a list of Hugging Face's parts, images among them.
        """
        text = self.render_chat(messages)
        return self._encoded(text, special=False)

    def render_chat(self, messages: Sequence[Message]) -> str:
        """Return a conversation as the text that the model was trained to see."""
        if self._chat is None:
            raise ChatTemplateError("this model has no chat template; use /v1/completions")
        return self._chat.render(messages)

    def _encoded(self, text: str, *, special: bool) -> list[int]:
        # As a batch of one: for that, the library lets other threads run.
        (encoded,) = self._vocabulary.encode_batch_fast([text], add_special_tokens=special)
        return list(encoded.ids)

    def token_id(self, text: str) -> int | None:
        """Return the number of the token that is written so, if there is one."""
        number: int | None = self._vocabulary.token_to_id(text)
        return number

    def text_of(self, token: int) -> str | None:
        """Return how a token is written, a special one included; None beyond the vocabulary."""
        text: str | None = self._vocabulary.id_to_token(token)
        return text

    def to_json(self) -> str:
        """Return the whole tokenizer as the text of a tokenizer.json."""
        return str(self._vocabulary.to_str())

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
        if held < _MOST_HELD and (not text or text.endswith(_HALF_CHARACTER)):
            return ""
        if not text:  # nor will they ever have any
            del self._pending[self._given :]
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
    return Tokenizer(vocabulary, chat=_load_chat_template(folder))


def special_tokens(folder: Path) -> dict[str, str]:
    """Return the texts of the tokens that have a part to play, such as `bos_token`."""
    marks: dict[str, str] = {}
    # Older folders have the first beside tokenizer_config.json, those with images the last.
    for name in ("special_tokens_map.json", "tokenizer_config.json", "processor_config.json"):
        for key, value in _optional_json(folder / name).items():
            text = value.get("content") if isinstance(value, dict) else value
            if key.endswith("_token") and isinstance(text, str):
                marks[key] = text
    return marks


def chat_template_file(folder: Path) -> Path:
    """Return where the chat template stands, or would stand; transformers has used three."""
    for name in ("chat_template.jinja", "chat_template.json"):
        if (folder / name).exists():
            return folder / name
    return folder / "tokenizer_config.json"


def _load_chat_template(folder: Path) -> ChatTemplate | None:
    path, marks = chat_template_file(folder), special_tokens(folder)
    try:
        source = _chat_template(path)
        return ChatTemplate(source, marks=marks) if source else None
    except (TemplateError, TypeError, KeyError, UnicodeError) as error:
        raise ModelError(f"{path}: the chat template is broken ({error})") from error


def _chat_template(path: Path) -> str | None:
    if path.suffix == ".jinja":
        return path.read_text(encoding="utf-8")
    value = _optional_json(path).get("chat_template")
    if isinstance(value, list):  # several named ones
        value = {one["name"]: one["template"] for one in value}.get("default")
    return value


def _optional_json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}
