import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageOps
from tokenizers import Tokenizer

from inference.models.bundled import digits, vocabulary
from inference.models.bundled.digits import Digit

if TYPE_CHECKING:
    from .conftest import Llava

SEVEN = Digit(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4, 7)


def test_what_is_said_of_a_digit() -> None:
    assert SEVEN.sentence == "This is a handwritten seven."


def test_pixels_lie_between_minus_one_and_one() -> None:
    white, black = (digits.pixels(Image.new("L", (20, 30), grey)) for grey in (255, 0))

    np.testing.assert_array_equal(np.ones((1, 8, 8), np.float32), white)
    np.testing.assert_array_equal(-np.ones((1, 8, 8), np.float32), black)


@pytest.mark.parametrize("size", [8, 16, 64, 80])
def test_an_enlarged_picture_has_the_same_pixels(size: int) -> None:
    small, large = digits.picture(SEVEN), digits.picture(SEVEN, size=size)

    assert large.size == (size, size)
    np.testing.assert_array_equal(digits.pixels(small), digits.pixels(large))


def test_black_on_white_is_the_negative() -> None:
    black_on_white = digits.picture(SEVEN, black_on_white=True)

    np.testing.assert_array_equal(
        digits.picture(SEVEN), np.asarray(ImageOps.invert(black_on_white))
    )


def test_variations_differ_and_repeat_with_the_seed() -> None:
    first, second, again = (
        digits.pixels(digits.varied(SEVEN, random.Random(seed))) for seed in (1, 2, 1)
    )

    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).max() > 0.1


@pytest.fixture(scope="module")
def every_digit() -> list[Digit]:
    pytest.importorskip("sklearn", reason="brings the digits")
    return digits.load()


def test_the_last_digits_are_held_out(every_digit: list[Digit]) -> None:
    taught, held_out = digits.split(every_digit)

    assert (len(taught), len(held_out)) == (1437, 360)
    assert taught + held_out == every_digit
    assert {digit.value for digit in held_out} == set(range(10))


def test_no_picture_is_on_both_sides_of_the_split(every_digit: list[Digit]) -> None:
    taught, held_out = (
        {digit.levels.tobytes() for digit in side} for side in digits.split(every_digit)
    )

    assert taught.isdisjoint(held_out)


def test_it_names_digits_that_it_was_not_taught(
    llava: "Llava", tokenizer: Tokenizer, every_digit: list[Digit]
) -> None:
    held_out = digits.split(every_digit)[1][::3]
    asked = f"{vocabulary.IMAGE}Which digit is this?"
    prompt = [vocabulary.BOS_ID, *vocabulary.question_ids(tokenizer, asked)]
    right = 0
    for digit in held_out:
        answer = [*vocabulary.plain_ids(tokenizer, digit.sentence), vocabulary.END_ID]
        logits = llava.logits(prompt + answer, digits.pixels(digits.picture(digit)))
        right += answer == logits[len(prompt) - 1 : -1].argmax(-1).tolist()

    assert right >= 0.95 * len(held_out)
