"""Names for full KV blocks: equal names promise equal keys and values.

Each name is a hash over the name of the block before it, the block's tokens, and the images
that stand in it. It is keyed, so that nobody outside can make two contents share a name.
"""

from array import array
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from inference.engine.sequence import PromptImage

_NAME_BYTES = 16


def extend_keys(
    keys: list[bytes],
    tokens: Sequence[int],
    images: Iterable[PromptImage],
    *,
    blocks: int,
    block_size: int,
    secret: bytes,
) -> None:
    """Append names until the first `blocks` blocks of a sequence have theirs."""
    for block in range(len(keys), blocks):
        start, end = block * block_size, (block + 1) * block_size
        name = blake2b(
            keys[-1] if keys else bytes(_NAME_BYTES), digest_size=_NAME_BYTES, key=secret
        )
        name.update(array("q", tokens[start:end]).tobytes())
        for image in images:
            if image.start < end and image.end > start:
                # Where in the image the block begins is part of what it holds.
                name.update(b"%d:%d:" % (image.start - start, len(image.digest)) + image.digest)
        keys.append(name.digest())
