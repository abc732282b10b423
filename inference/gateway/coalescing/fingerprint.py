"""The fingerprint of a request: requests that have the same one may share an answer."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from inference.gateway.canonical import DIGEST_BYTES
from inference.gateway.coalescing.errors import KeyReusedError
from inference.gateway.completion import Completion
from inference.gateway.errors import BadRequestError

IDEMPOTENCY_KEY = "Idempotency-Key"
_LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a request is told by: never the same for two tenants."""

    identity: bytes  # of tenant, operation, model, and the key or else the body
    body: bytes

    def confirm(self, other: "Fingerprint") -> None:
        """Raise KeyReusedError where another request of the same identity asks for more or less.

        Answering it from this one would be wrong, and computing it would break what the key
        promises; so the client is told, with the status that is usual for it (422).
        """
        if self.body != other.body:
            raise KeyReusedError(
                f"This {IDEMPOTENCY_KEY} was sent with another body a moment ago; send each new "
                "request with a new key, and a repeated one unchanged."
            )


def fingerprint_of(
    ask: Completion, *, tenant: str, idempotency_key: str | None = None
) -> Fingerprint | None:
    """Return the fingerprint; None where asking again may well give another answer."""
    if idempotency_key is not None and len(idempotency_key) > _LONGEST_KEY:
        raise BadRequestError(
            f"The {IDEMPOTENCY_KEY} has {len(idempotency_key)} characters; "
            f"at most {_LONGEST_KEY} are read."
        )
    body = ask.digest if idempotency_key or ask.is_deterministic else None
    if body is None:
        return None
    told_by = idempotency_key.encode(errors="surrogateescape") if idempotency_key else body
    kind = b"key" if idempotency_key else b"body"
    scope = (tenant, ask.operation.value, ask.model)
    parts = (*(one.encode(errors="surrogatepass") for one in scope), kind, told_by)
    return Fingerprint(_hash(parts), body)


def wants_own_answer(headers: Mapping[str, str]) -> bool:
    """Whether the client asks for an answer that is computed for it alone, and is not kept."""
    directives = headers.get("Cache-Control")
    if directives is None:
        return False
    return not {"no-cache", "no-store"}.isdisjoint(
        directive.strip().lower() for directive in directives.split(",")
    )


def _hash(parts: tuple[bytes, ...]) -> bytes:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8))  # so that no two tuples run together alike
        digest.update(part)
    return digest.digest()
