import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.models.preprocessing import Preprocessing, load_preprocessing
from inference.models.spec import ModelError
from tests.inference.seeing import PREPROCESSOR, picture

SIZES = [(97, 53), (53, 97), (30, 31), (20, 200), (300, 7)]


def write(folder: Path, **changes: object) -> Path:
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR | changes))
    return folder


def test_pixels_are_scaled_and_normalised_with_the_channel_first(tmp_path: Path):
    steps = load_preprocessing(write(tmp_path))
    black_and_white = Image.fromarray(np.array([[0, 255]], np.uint8)).resize((8, 8), 0)

    pixels = steps.pixels(black_and_white)

    assert pixels.shape == (1, 8, 8)
    assert pixels.dtype == np.float32
    assert [*pixels[0, 0]] == [-1.0] * 4 + [1.0] * 4


def test_steps_can_be_left_out(tmp_path: Path):
    steps = load_preprocessing(write(tmp_path, do_rescale=False, do_normalize=False))

    assert steps.pixels(Image.new("L", (8, 8), 200)).max() == 200


def test_each_colour_has_its_own_mean(tmp_path: Path):
    folder = write(tmp_path, image_mode="RGB", image_mean=[0, 0.5, 1], image_std=[1, 0.5, 2])

    pixels = load_preprocessing(folder).pixels(Image.new("RGB", (9, 9), (255, 255, 255)))

    assert [*pixels[:, 0, 0]] == [1.0, 1.0, 0.0]


def test_transformers_5_may_keep_it_in_the_processors_file(tmp_path: Path):
    nested = {"image_processor": PREPROCESSOR, "processor_class": "LlavaProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))

    assert load_preprocessing(tmp_path).mode == "L"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("processor", "settings"),
    [
        pytest.param("siglip", {"size": {"height": 32, "width": 40}}, id="siglip"),
        pytest.param(
            "clip",
            {"size": {"shortest_edge": 48}, "crop_size": {"height": 32, "width": 40}},
            id="clip",
        ),
    ],
)
def test_it_agrees_with_transformers(
    tmp_path: Path, processor: str, settings: dict, size: tuple[int, int]
):
    pytest.importorskip("torch", reason="transformers' processors need it")
    pytest.importorskip("transformers", reason="it is what we compare with")
    module = f"transformers.models.{processor}.image_processing_pil_{processor}"
    name = {"siglip": "SiglipImageProcessorPil", "clip": "CLIPImageProcessorPil"}[processor]
    theirs = getattr(importlib.import_module(module), name)(**settings)
    theirs.save_pretrained(tmp_path)

    pixels = load_preprocessing(tmp_path).pixels(picture(size))

    expected = theirs(picture(size), return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(pixels, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"do_resize": False}, "do_resize false", id="no resize"),
        pytest.param({"size": {"max_height": 8}}, "'height' is missing", id="other sizes"),
        pytest.param({"size": {"height": 0, "width": 8}}, "got 0 x 8", id="no height"),
        pytest.param({"image_mode": "CMYK"}, "'CMYK' is not supported", id="mode"),
        pytest.param({"resample": 17}, "17 is not a valid", id="filter"),
        pytest.param({"image_mean": [1, 2]}, "expected 1 values, got 2", id="channels"),
        pytest.param({"image_std": [0]}, "divided by 0", id="zero"),
        pytest.param(
            {"size": {"shortest_edge": 8}, "do_center_crop": False}, "no fixed size", id="no crop"
        ),
        pytest.param(
            {"size": {"shortest_edge": 8}, "crop_size": 9}, "9 x 9 can be cut", id="wide crop"
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(ModelError, match=message) as raised:
        load_preprocessing(write(tmp_path, **changes))

    assert "preprocessor_config.json" in str(raised.value)


def test_two_ways_to_prepare_are_two_values():
    assert Preprocessing(8, 8) != Preprocessing(8, 8, resample=0)
