"""The prompt of a request as the gateway sees it: how large it is, and how it begins.

Nothing here judges: what is malformed counts as empty, and the replica says what is wrong.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

PREFIX_BYTES = 2**16  # of a prompt, as far as its beginning is told from others
_TOKEN_BYTES = 4  # what a token is in English text, about
# Two pictures of one size that differ do so in their ends: there a PNG has its checksum.
_PICTURE_END = 1024


@dataclass(frozen=True, slots=True)
class PromptSize:
    """What a prompt amounts to."""

    text_bytes: int = 0
    images: int = 0
    prompts: int = 1  # a request for plain completions may carry many


def size_of_chat(messages: object) -> PromptSize:
    """Measure the messages of a chat."""
    text_bytes = images = 0
    for content in _contents(messages):
        for part in _parts(content):
            if isinstance(part, str):
                text_bytes += _size(part)
            elif image_of(part) is not None:
                images += 1
    return PromptSize(text_bytes, images)


def size_of_prompts(prompts: object) -> PromptSize:
    """Measure the prompt, or prompts, of a plain completion or of embeddings."""
    if isinstance(prompts, str):
        return PromptSize(_size(prompts))
    if not isinstance(prompts, list) or not prompts:
        return PromptSize()
    if isinstance(prompts[0], int):
        return PromptSize(_TOKEN_BYTES * len(prompts))
    return PromptSize(sum(map(_size, prompts)), prompts=len(prompts))


def pieces_of_chat(messages: object) -> Iterator[bytes]:
    """Yield each message in turn: its role, its texts, and what tells its images from others."""
    if not isinstance(messages, list):
        return
    for message in messages:
        if isinstance(message, dict):
            role = message.get("role")
            pieces = [role] if isinstance(role, str) else []
            for part in _parts(message.get("content")):
                url = part if isinstance(part, str) else image_of(part)
                pieces.append(_ends(url) if url is not part and url else url or "")
            yield _encoded("\0".join(pieces))


def pieces_of_prompts(prompts: object) -> Iterator[bytes]:
    """Yield the prompt; of many the first, which stands for them all."""
    if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int):
        prompts = prompts[0]
    if isinstance(prompts, str):
        yield _encoded(prompts)
    elif isinstance(prompts, list):
        yield " ".join(str(one) for one in prompts[:PREFIX_BYTES] if isinstance(one, int)).encode()


def bounded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield pieces until they amount to PREFIX_BYTES."""
    room = PREFIX_BYTES
    for piece in pieces:
        yield piece[:room]
        room -= len(piece)
        if room <= 0:
            return


def image_of(part: object) -> str | None:
    """Return the URL of a part of a message that is an image."""
    if not isinstance(part, dict) or part.get("type") != "image_url":
        return None
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    return url if isinstance(url, str) else ""


def _contents(messages: object) -> list[Any]:
    if not isinstance(messages, list):
        return []
    return [message.get("content") for message in messages if isinstance(message, dict)]


def _parts(content: object) -> list[Any]:
    """Return the parts of a message; a part that is text becomes its text."""
    if isinstance(content, str):
        return [content]
    return [_text_or_part(part) for part in content] if isinstance(content, list) else []


def _text_or_part(part: object) -> object:
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else part


def _size(text: object) -> int:
    if isinstance(text, list):
        return _TOKEN_BYTES * len(text)
    if not isinstance(text, str):
        return 0
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _ends(url: str) -> str:
    return f"{url[:_PICTURE_END]}{len(url)}{url[-_PICTURE_END:]}"


def _encoded(text: str) -> bytes:
    return text[:PREFIX_BYTES].encode(errors="surrogatepass")
