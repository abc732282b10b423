import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from inference.models.images import (
    ImageError,
    ImageLimits,
    image_digest,
    image_pixels,
    read_data_url,
)
from inference.models.preprocessing import Preprocessing
from tests.inference.seeing import data_url, picture

LEVELS = Preprocessing(8, 8, resample=0, rescale=None)  # pixels as they are, in colour
GREYS = Preprocessing(8, 8, mode="L", resample=0, rescale=None)
LIMITS = ImageLimits()
RED = (255, 0, 0)


def pixels(url: str, steps: Preprocessing = LEVELS, limits: ImageLimits = LIMITS) -> np.ndarray:
    return image_pixels(read_data_url(url, limits), steps, limits)


def refusal(url: str, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises(ImageError) as raised:
        pixels(url, limits=limits)
    return str(raised.value)


def colour(url: str) -> tuple[int, ...]:
    """The colour in the upper left corner."""
    return tuple(int(level) for level in pixels(url)[:, 0, 0])


@pytest.mark.parametrize("kind", ["png", "webp", "gif", "bmp"])
def test_every_lossless_format_gives_the_same_pixels(kind: str):
    image = picture((8, 8)).convert("P").convert("RGB")
    options = {"lossless": True} if kind == "webp" else {}

    expected = np.asarray(image, np.float32).transpose(2, 0, 1)
    np.testing.assert_array_equal(pixels(data_url(image, kind, **options)), expected)


@pytest.mark.parametrize("kind", ["jpeg", "JPG"])
def test_jpeg_is_read_under_both_names(kind: str):
    url = data_url(Image.new("RGB", (8, 8), RED), "jpeg").replace("/jpeg", f"/{kind}", 1)

    np.testing.assert_allclose(colour(url), RED, atol=3)


def test_the_size_is_brought_to_the_models():
    assert pixels(data_url(picture((40, 9)))).shape == (3, 8, 8)
    assert pixels(data_url(picture((40, 9))), GREYS).shape == (1, 8, 8)


def test_a_photograph_is_turned_upright():
    image = Image.new("RGB", (8, 8))
    image.paste(RED, (0, 0, 8, 4))  # above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise

    upright = pixels(data_url(image, "png", exif=exif.tobytes()))

    assert upright[0, 4, 7] == 255
    assert upright[0, 4, 0] == 0


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), id="RGBA"),
        pytest.param(Image.new("LA", (8, 8), (0, 0)), id="LA"),
    ],
)
def test_what_is_transparent_lies_on_white(image: Image.Image):
    assert colour(data_url(image)) == (255, 255, 255)


def test_half_transparent_red_on_white_is_pink():
    assert colour(data_url(Image.new("RGBA", (8, 8), (*RED, 128)))) == (255, 127, 127)


def test_a_transparent_colour_of_a_palette_lies_on_white():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, *RED])
    image.putpixel((7, 7), 0)

    found = pixels(data_url(image, "png", transparency=0))

    assert [*found[:, 0, 0]] == [*RED]
    assert [*found[:, 7, 7]] == [255, 255, 255]


def test_sixteen_bits_become_eight_without_clipping():
    levels = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    found = pixels(data_url(Image.fromarray(levels)), GREYS)[0]

    np.testing.assert_array_equal(found, levels // 257)


def test_printers_colours_are_read():
    np.testing.assert_allclose(
        colour(data_url(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpeg")), RED, atol=3
    )


def test_one_bit_is_black_or_white():
    assert colour(data_url(Image.new("1", (8, 8), 1))) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_of_an_animation_the_first_picture_counts(kind: str):
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), (0, 0, 255))
    options = {"lossless": True} if kind == "webp" else {}

    url = data_url(first, kind, save_all=True, append_images=[second], **options)

    assert colour(url) == RED


def test_a_telephones_jpeg_with_a_second_picture_is_a_jpeg():
    buffer = io.BytesIO()
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8))
    first.save(buffer, "MPO", save_all=True, append_images=[second])

    np.testing.assert_allclose(colour(data_url(buffer.getvalue(), "jpeg")), RED, atol=3)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://example.org/cat.png", "not fetched from https: addresses"),
        ("file:///etc/passwd", "not fetched from file: addresses"),
        ("HTTP://127.0.0.1:80/", "not fetched from http: addresses"),
        ("", "no data URL"),
        ("iVBORw0KGgo=", "no data URL"),
        ("data:image/png", "no data URL"),
        ("data:image/png,abc", "not in base64"),
        ("data:image/png;base64;charset=utf-8,AAAA", "not in base64"),
        ("data:;base64,AAAA", "type 'unknown' are not read"),
        ("data:text/plain;base64,AAAA", "type 'text/plain' are not read"),
        ("data:image/svg+xml;base64,PHN2Zy8+", r"type 'image/svg+xml' are not read"),
        ("data:image/tiff;base64,AAAA", "send PNG, JPEG, WebP, GIF or BMP"),
        ("data:image/png;base64,", "no PNG, JPEG"),
        ("data:image/png;base64,AAA", "not valid base64"),
        ("data:image/png;base64,AA AA", "not valid base64"),
        ("data:image/png;base64,AA==AAAA", "not valid base64"),
        ("data:image/png;base64,_-_-", "not valid base64"),
        ("data:image/png;base64,\u00e9\u00e9\u00e9\u00e9", "not valid base64"),
        ("data:image/png;base64,AAAA", "no PNG, JPEG"),
    ],
)
def test_what_is_no_picture_is_refused(url: str, message: str):
    assert message in refusal(url)


def test_parameters_before_base64_are_fine():
    url = data_url(Image.new("RGB", (8, 8), RED)).replace(";base64", ";name=a.png;base64")

    assert colour(url) == RED


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "bmp"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_picture_is_refused(kind: str, kept: float):
    whole = base64.b64decode(data_url(picture((64, 64)), kind).partition(",")[2])

    message = refusal(data_url(whole[: int(kept * len(whole))], kind))

    assert "cannot be decoded" in message or "is no PNG" in message


def test_a_picture_is_what_it_says():
    url = data_url(picture(), "jpeg").replace("image/jpeg", "image/png")

    assert refusal(url) == "the image says that it is PNG, but it is JPEG"


def test_formats_beyond_the_list_are_not_even_tried():
    url = data_url(picture(), "tiff").replace("image/tiff", "image/png")

    assert "no PNG, JPEG" in refusal(url)


def test_svg_in_disguise_is_no_picture():
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"

    assert "no PNG, JPEG" in refusal(data_url(svg))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be huge."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        pytest.param(5000, 4000, "has 5000 x 4000 pixels, more than 16777216", id="beyond ours"),
        pytest.param(10_000, 10_000, "more than 16777216 pixels", id="beyond Pillow's warning"),
        pytest.param(60_000, 60_000, "more than 16777216 pixels", id="beyond Pillow's error"),
        pytest.param(10_000, 99, "one side is more than 100 times the other", id="a thread"),
    ],
)
def test_a_bomb_is_refused_by_its_claim(width: int, height: int, message: str):
    assert message in refusal(data_url(bomb(width, height)))


def test_a_webp_that_claims_a_huge_canvas_is_refused():
    data = bytearray(
        base64.b64decode(data_url(Image.new("RGB", (8, 8)), "webp", lossless=True)[23:])
    )
    assert data[12:16] == b"VP8L"
    data[21:25] = struct.pack("<I", (8000 - 1) | (8000 - 1) << 14)

    assert "has 8000 x 8000 pixels" in refusal(data_url(bytes(data), "webp"))


def test_a_gif_whose_frame_is_larger_than_its_screen_is_refused():
    data = bytearray(base64.b64decode(data_url(Image.new("P", (8, 8)), "gif")[22:]))
    frame = data.index(b",")
    data[frame + 5 : frame + 9] = struct.pack("<HH", 8000, 8000)

    assert "8000 x 8000 pixels" in refusal(data_url(bytes(data), "gif"))


@pytest.mark.parametrize(
    ("pixels_allowed", "is_read"), [pytest.param(64, True), pytest.param(63, False)]
)
def test_the_limit_of_pixels_is_sharp(pixels_allowed: int, is_read: bool):  # noqa: FBT001
    url, limits = data_url(picture((8, 8))), ImageLimits(pixels=pixels_allowed)

    if is_read:
        pixels(url, limits=limits)
    else:
        assert "more than 63" in refusal(url, limits)


@pytest.mark.parametrize("spare", [0, 1, 2, 3])
def test_the_limit_of_bytes_is_sharp(spare: int):
    url = data_url(picture((8, 8)))
    size = len(base64.b64decode(url.partition(",")[2]))

    pixels(url, limits=ImageLimits(bytes=size + spare))
    limits = ImageLimits(bytes=size - 1 - spare)
    assert refusal(url, limits) == f"the image is larger than {limits.bytes} bytes"


def test_a_text_that_unpacks_to_much_is_refused():
    """PNG may carry compressed text; nobody reads it, nobody unpacks it."""
    whole = base64.b64decode(data_url(picture((8, 8))).partition(",")[2])
    packed = b"comment\0\0" + zlib.compress(b"\0" * 100_000_000)
    checksum = struct.pack(">I", zlib.crc32(b"zTXt" + packed))
    chunk = struct.pack(">I", len(packed)) + b"zTXt" + packed + checksum
    url = data_url(whole[:33] + chunk + whole[33:])

    assert "cannot be decoded" in refusal(url)


def test_the_digest_tells_apart_what_is_seen_differently():
    one, other = (read_data_url(data_url(picture(seed=seed)), LIMITS) for seed in (1, 2))

    assert image_digest(one, LEVELS) == image_digest(one, LEVELS)
    assert len({image_digest(one, LEVELS), image_digest(other, LEVELS)}) == 2
    assert image_digest(one, LEVELS) != image_digest(one, GREYS)
