"""A picture on its way to the vision tower: data URL -> bytes -> pixels, nothing taken on trust.

What the bytes claim (their type, their size) is checked before anything is decoded.
"""

import binascii
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from inference.models.preprocessing import Preprocessing

_FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",  # no such type, but often sent
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
}
_EXPECTED = "data:image/png;base64,..."
_SUPPORTED = "PNG, JPEG, WebP, GIF or BMP"
_DATA_URL = re.compile(r"data:([\w.+/-]*)((?:;[^;,]*)*),", re.IGNORECASE)
_SAME_FORMAT = {"MPO": "JPEG"}  # several JPEGs in one file, as telephones write them
_WHITE = (255, 255, 255, 255)
_SHADES = 257  # of 16 bits for each of 8
_MOST_ASPECT = 100  # beyond it, a short side brought to the model's size makes a huge long one


class ImageError(ValueError):
    """A picture cannot be shown to the model; the message says why."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What one request may ask to be decoded."""

    images: int = 16
    bytes: int = 8 * 1024**2  # of one picture, as the file that it is
    pixels: int = 4096 * 4096  # of one picture; 50 MB once decoded

    def __post_init__(self) -> None:
        if min(self.images, self.bytes, self.pixels) < 1:
            raise ValueError(f"expected limits of 1 or more, got {self}")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A picture as it came, not yet decoded."""

    kind: str  # what it claims to be: Pillow's name of the format
    data: bytes


def read_data_url(url: str, limits: ImageLimits) -> ImageFile:
    """Return the file inside a data URL."""
    kind, payload = _split(url)
    if len(payload) * 3 // 4 - 2 > limits.bytes:
        raise ImageError(f"the image is larger than {limits.bytes} bytes")
    try:
        data = binascii.a2b_base64(payload.encode("ascii"), strict_mode=True)
    except ValueError as error:
        raise ImageError(f"the image's data URL is not valid base64 ({error})") from error
    if len(data) > limits.bytes:
        raise ImageError(f"the image is larger than {limits.bytes} bytes")
    return ImageFile(kind, data)


def image_digest(file: ImageFile, preprocessing: Preprocessing) -> bytes:
    """Return what tells apart two pictures that the model would see differently."""
    digest = hashlib.blake2b(repr(preprocessing).encode(), digest_size=16)
    digest.update(file.kind.encode())
    digest.update(file.data)
    return digest.digest()


def image_pixels(
    file: ImageFile, preprocessing: Preprocessing, limits: ImageLimits
) -> NDArray[np.float32]:
    """Decode a picture into what the vision tower takes, [channels, height, width]."""
    with _decoding(file, limits) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
        return preprocessing.pixels(_flattened(upright, preprocessing.mode))


def _split(url: str) -> tuple[str, str]:
    """Return the format that a data URL names, and its base64."""
    head = _DATA_URL.match(url[:256])
    if head is None:
        if re.match(r"[a-z][a-z0-9+.-]*:", url[:32], re.IGNORECASE) and url[:5].lower() != "data:":
            scheme = url.partition(":")[0].lower()
            raise ImageError(
                f"images are not fetched from {scheme}: addresses; send the image as {_EXPECTED}"
            )
        raise ImageError(f"the image's address is no data URL; expected {_EXPECTED}")
    media, parameters = head[1].lower(), head[2].lower()
    if media not in _FORMATS:
        raise ImageError(f"images of type {media or 'unknown'!r} are not read; send {_SUPPORTED}")
    if not parameters.endswith(";base64"):
        raise ImageError(
            "the image's data URL is not in base64; expected data:image/png;base64,..."
        )
    return _FORMATS[media], url[head.end() :]


@contextmanager
def _decoding(file: ImageFile, limits: ImageLimits) -> Iterator[Image.Image]:
    """Open a picture once its size is known to be allowed; whatever Pillow raises is told."""
    try:
        with Image.open(BytesIO(file.data), formats=sorted({*_FORMATS.values()})) as image:
            _check(image, file, limits)
            yield image
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"the data is no {_SUPPORTED} image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"the image has more than {limits.pixels} pixels") from error
    except Exception as error:  # broken files raise whatever the decoder trips over
        raise ImageError(f"the {file.kind} image cannot be decoded ({error})") from error


def _check(image: Image.Image, file: ImageFile, limits: ImageLimits) -> None:
    found = _SAME_FORMAT.get(image.format or "", image.format)
    if found != file.kind:
        raise ImageError(f"the image says that it is {file.kind}, but it is {found}")
    if image.width * image.height > limits.pixels:
        raise ImageError(
            f"the image has {image.width} x {image.height} pixels, more than {limits.pixels}"
        )
    if max(image.size) > _MOST_ASPECT * min(image.size):
        raise ImageError(
            f"the image is {image.width} x {image.height}: one side is more than "
            f"{_MOST_ASPECT} times the other"
        )


def _flattened(image: Image.Image, mode: str) -> Image.Image:
    """Bring any kind of picture to `mode`; what shines through is laid on white."""
    if image.mode.startswith("I"):  # Pillow would clip 16 bits at 255
        levels = np.asarray(image).astype(np.uint32) // _SHADES
        image = Image.fromarray(levels.astype(np.uint8))
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, _WHITE), clear)
    return image.convert(mode)
