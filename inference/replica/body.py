"""Reading a request's body without holding up everybody else's."""

import asyncio
import re
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel

from inference.api import parse_body
from inference.errors import ApiError

_LARGE_BYTES = 2**18  # beyond it, parsing takes longer than the event loop may wait
# Parsing takes a microsecond for each, and no other thread runs meanwhile. More than anybody
# means: the longest conversation that is read has half as many.
_MOST_PARTS = 2**17  # lists, objects and fields
_MOST_ITEMS = 2**20  # items that follow another one
# Some text, cut where it is outside of strings, so that other threads run in between.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_STRETCH = re.compile(
    rb'(?:[^"]{1,65536}+|"[^"\\]*+(?:\\.[^"\\]*+)*+"){1,1024}+', re.DOTALL
)  # fmt: skip

_Body = TypeVar("_Body", bound=BaseModel)


async def read_body(kind: type[_Body], http: web.Request) -> _Body:
    """Read a request's JSON; ApiError 400 says which field is wrong or not supported."""
    body = await http.read()
    if len(body) > _LARGE_BYTES:
        return await asyncio.to_thread(_parse_large, kind, body)
    return parse_body(kind, body)


def check_structure(body: bytes) -> None:
    """Refuse JSON that would take seconds to parse; what is no JSON is left to the parser."""
    if not _is_much(*_counts(body)):  # as in one with large images: strings need no telling apart
        return
    parts = items = at = 0
    while (stretch := _STRETCH.match(body, at)) is not None:
        at = stretch.end()
        more_parts, more_items = _counts(_STRING.sub(b"", stretch.group()))
        parts, items = parts + more_parts, items + more_items
        if _is_much(parts, items):
            raise ApiError(
                400,
                f"The body has too many parts: at most {_MOST_PARTS} lists, objects and fields "
                f"and {_MOST_ITEMS} items are read.",
                code="request_too_large",
            )


def _counts(text: bytes) -> tuple[int, int]:
    return text.count(b"[") + text.count(b"{") + text.count(b":"), text.count(b",")


def _is_much(parts: int, items: int) -> bool:
    return parts > _MOST_PARTS or items > _MOST_ITEMS


def _parse_large(kind: type[_Body], body: bytes) -> _Body:
    check_structure(body)
    return parse_body(kind, body)
