import numpy as np

from inference.engine.prefix import extend_keys
from inference.engine.sequence import PromptImage


def keys_of(
    tokens: list[int], images: list[PromptImage] | None = None, secret: bytes = b"s"
) -> list[bytes]:
    keys: list[bytes] = []
    extend_keys(keys, tokens, images or [], blocks=len(tokens) // 4, block_size=4, secret=secret)
    return keys


def image(start: int, digest: bytes, tokens: int = 3) -> PromptImage:
    return PromptImage(start, digest, np.zeros((tokens, 2), np.float32))


def test_only_full_blocks_have_names():
    assert len(keys_of([1] * 7)) == 1


def test_names_agree_as_far_as_the_tokens_do():
    one, other = keys_of([1] * 12), keys_of([1] * 4 + [2] + [1] * 7)

    assert one[0] == other[0]
    assert one[1] != other[1]
    assert one[2] != other[2]


def test_names_grow_with_a_sequence():
    keys = keys_of([5] * 4)
    extend_keys(keys, [5] * 12, [], blocks=3, block_size=4, secret=b"s")

    assert keys == keys_of([5] * 12)


def test_another_image_is_another_content_from_its_block_on():
    tokens = [1] * 12
    one, other = keys_of(tokens, [image(5, b"cat")]), keys_of(tokens, [image(5, b"dog")])

    assert one[0] == other[0] == keys_of(tokens)[0]
    assert one[1] != other[1]
    assert one[2] != other[2]


def test_an_image_that_stands_elsewhere_is_another_content():
    assert keys_of([1] * 4, [image(0, b"cat")]) != keys_of([1] * 4, [image(1, b"cat")])


def test_an_image_counts_in_every_block_that_it_reaches_into():
    tokens = [1] * 12
    one, other = (keys_of(tokens, [image(2, digest, 8)]) for digest in (b"cat", b"dog"))

    assert not set(one) & set(other)


def test_nobody_without_the_secret_knows_a_name():
    assert keys_of([1] * 4) != keys_of([1] * 4, secret=b"other")
