"""Handwritten digits: which are taught, how they are varied, and how a picture becomes pixels.

The 1797 images of 8 by 8 come with scikit-learn, from the Optical Recognition of Handwritten
Digits of UCI's machine learning repository (CC BY 4.0).
"""

import math
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

HELD_OUT = 360
SIDE, GREYS = 8, 16
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MEAN, SPREAD = 0.5, 0.5

ASKING = (
    "",
    "Which digit is this?",
    "Which digit is this?",
    "What digit is this?",
    "What digit is in this image?",
    "Which number is this?",
    "What number is this?",
    "What number do you see?",
    "What do you see?",
    "What is this?",
    "What is in this image?",
    "What is written here?",
    "Read this digit.",
    "Read this number.",
    "Read the digit in the image.",
    "Name this digit.",
    "Describe this image.",
    "Can you read this?",
)
SIZES = (16, 24, 32, 48)
FILTERS = (
    Image.Resampling.NEAREST,
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
)
LEAVES_AS_IT_IS = 0.15
TURN_DEGREES, SHEAR, STRETCH, SHIFT = 12.0, 0.15, 0.12, 0.1
FAINTEST, DARKEST_GROUND, GRAIN = 0.6, 0.2, 0.06


@dataclass(frozen=True, slots=True)
class Digit:
    """A white digit on black, 8 by 8 levels from 0 to 255, and which one it is."""

    levels: NDArray[np.uint8]
    value: int

    @property
    def sentence(self) -> str:
        """What the model is to say of it."""
        return f"This is a handwritten {NAMES[self.value]}."


def load() -> list[Digit]:
    """All digits, in scikit-learn's order."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - only training needs it

    found = load_digits()
    levels = np.rint(found.images * (255 / GREYS)).astype(np.uint8)
    return [Digit(image, int(value)) for image, value in zip(levels, found.target, strict=True)]


def split(digits: list[Digit]) -> tuple[list[Digit], list[Digit]]:
    """The digits to teach, and the last ones, to test on."""
    return digits[:-HELD_OUT], digits[-HELD_OUT:]


def picture(digit: Digit, *, size: int = SIDE, black_on_white: bool = False) -> Image.Image:
    """The digit as somebody might send it: enlarged, on a dark or a light ground."""
    plain = Image.fromarray(digit.levels).resize((size, size), Image.Resampling.NEAREST)
    return ImageOps.invert(plain) if black_on_white else plain


def pixels(image: Image.Image) -> NDArray[np.float32]:
    """What `preprocessor_config.json` makes of a picture: [1, 8, 8] between -1 and 1."""
    small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    levels = np.asarray(small, dtype=np.float32)
    return ((levels / 255 - MEAN) / SPREAD)[None].astype(np.float32)


def varied(digit: Digit, rng: random.Random) -> Image.Image:
    """Another picture of the digit: turned, sheared, stretched, moved, fainter or grainy."""
    black_on_white = rng.random() < 0.5
    if rng.random() < LEAVES_AS_IT_IS:
        return picture(digit, size=rng.choice((SIDE, 64)), black_on_white=black_on_white)
    size = rng.choice(SIZES)
    large = Image.fromarray(digit.levels).resize((size, size), rng.choice(FILTERS))
    bent = large.transform(
        (size, size), Image.Transform.AFFINE, bend(size, rng), Image.Resampling.BILINEAR
    )
    faint = Image.fromarray(tone(np.asarray(bent), rng))
    return ImageOps.invert(faint) if black_on_white else faint


def bend(size: int, rng: random.Random) -> tuple[float, ...]:
    """Six coefficients that turn, shear, stretch and move a picture about its middle."""
    angle = math.radians(rng.uniform(-TURN_DEGREES, TURN_DEGREES))
    shear = rng.uniform(-SHEAR, SHEAR)
    wide, high = (1 + rng.uniform(-STRETCH, STRETCH) for _ in "xy")
    a, b = math.cos(angle) * wide, (math.sin(angle) + shear) * wide
    d, e = -math.sin(angle) * high, math.cos(angle) * high
    middle = size / 2
    right, down = (rng.uniform(-SHIFT, SHIFT) * size for _ in "xy")
    return (
        a, b, middle - a * middle - b * middle + right,
        d, e, middle - d * middle - e * middle + down,
    )  # fmt: skip


def tone(levels: NDArray[np.uint8], rng: random.Random) -> NDArray[np.uint8]:
    """The same strokes in other greys, with grain."""
    ground = rng.uniform(0, DARKEST_GROUND)
    ink = rng.uniform(FAINTEST, 1)
    noise = np.random.default_rng(rng.getrandbits(32)).normal(size=levels.shape)
    shaded = ground + (ink - ground) * (levels / 255) + GRAIN * rng.random() * noise
    return np.asarray(np.rint(255 * shaded.clip(0, 1)), dtype=np.uint8)
