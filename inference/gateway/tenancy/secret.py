"""API keys as secrets: how one is made, told from others, and found in a request.

A key is 256 random bits, so a fast, unsalted hash keeps it: passwords need slow and salted ones
because people choose few of them, but 2**256 keys can be neither guessed nor listed beforehand.
"""

import hashlib
import secrets
from collections.abc import Mapping

_PREFIX = "wfk_"  # by it, scanners of repositories and logs find keys that leaked
_RANDOM_BYTES = 32


def new_secret() -> str:
    """Return a new key."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def new_id() -> str:
    """Return an id for a key, which may be shown."""
    return "key-" + secrets.token_hex(4)


def digest_of(secret: str) -> bytes:
    """Return what is kept of a key."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()


def secret_in(headers: Mapping[str, str]) -> str | None:
    """Return the key that a request carries: as a bearer token, or as `x-api-key`."""
    scheme, _, token = headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key", "").strip() or None
