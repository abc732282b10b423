"""The canonical body of a request: two bodies that ask for the same have the same digest."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from inference.gateway.prompt import image_of

DIGEST_BYTES = 16
# Who asks, and how it is filed and billed: nothing of it changes the answer.
_IRRELEVANT = frozenset(
    {
        "user", "metadata", "store", "service_tier", "prompt_cache_key",
        "prompt_cache_retention", "safety_identifier",
    }
)  # fmt: skip
# Fields in which 0 and 0.0 mean the same. In the others they do not: 1.0 is no seed to a replica.
_REAL = (
    "temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty",
    "repetition_penalty",
)  # fmt: skip
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


def digest_of(fields: Mapping[str, Any], *, has_images: bool) -> bytes | None:
    """Hash all of a body that its answer depends on; None where it is nested too deeply."""
    relevant = {name: value for name, value in fields.items() if name not in _IRRELEVANT}
    for name in _REAL:
        if name in relevant:
            relevant[name] = _real(relevant[name])
    if isinstance(biases := relevant.get("logit_bias"), dict):
        relevant["logit_bias"] = {token: _real(bias) for token, bias in biases.items()}
    if has_images:
        relevant["messages"] = [_short(message) for message in relevant["messages"]]
    try:
        canonical = _encode(relevant)
    except RecursionError:
        return None
    return hashlib.blake2b(canonical.encode(), digest_size=DIGEST_BYTES).digest()


def _real(value: Any) -> Any:
    """Return a number in the one form of its value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return float(value) + 0.0  # -0.0 becomes 0.0
    except OverflowError:
        return value


def _short(message: Any) -> Any:
    """Put the digest of each image in its place: hashing megabytes is quicker than escaping."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    return message | {"content": [_short_part(part) for part in content]}


def _short_part(part: Any) -> Any:
    url = image_of(part)
    if not url:
        return part
    digest = hashlib.blake2b(url.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES)
    image = part["image_url"]
    short = digest.hexdigest()
    return part | {"image_url": image | {"url": short} if isinstance(image, dict) else short}
