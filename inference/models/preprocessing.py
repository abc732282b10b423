"""How a model wants its pictures, as its preprocessor_config.json says: size, colours, scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.models.spec import ModelError, read_json

PREPROCESSOR_FILE = "preprocessor_config.json"
PROCESSOR_FILE = "processor_config.json"  # transformers 5 may keep it in here
_BICUBIC = 3


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The steps from a decoded picture to the vision tower's pixels, in order."""

    height: int
    width: int
    mode: str = "RGB"  # or "L": one channel of greys
    shortest_edge: int | None = None  # resize to it first, then cut out the middle
    resample: int = _BICUBIC  # Pillow's number
    rescale: float | None = 1 / 255
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.shortest_edge or 1) < 1:
            raise ValueError(f"expected sizes of 1 or more, got {self.height} x {self.width}")
        if self.shortest_edge is not None and self.shortest_edge < max(self.height, self.width):
            raise ValueError(
                f"no {self.height} x {self.width} can be cut out of {self.shortest_edge}"
            )
        if self.mode not in ("RGB", "L"):
            raise ValueError(f"image_mode {self.mode!r} is not supported, only RGB and L")
        Image.Resampling(self.resample)
        for name, values in (("image_mean", self.mean), ("image_std", self.std)):
            if values is not None and len(values) not in (1, self.channels):
                raise ValueError(f"{name}: expected {self.channels} values, got {len(values)}")
        if self.std is not None and 0 in self.std:
            raise ValueError("image_std: a channel cannot be divided by 0")

    @property
    def channels(self) -> int:
        """Values of one pixel."""
        return len(self.mode)

    def pixels(self, image: Image.Image) -> NDArray[np.float32]:
        """Return a picture that has `mode` already as [channels, height, width]."""
        levels = np.array(self._sized(image), np.float32)
        values = levels.reshape(self.height, self.width, self.channels)
        if self.rescale is not None:
            values *= np.float32(self.rescale)
        if self.mean is not None and self.std is not None:
            values -= np.asarray(self.mean, np.float32)
            values /= np.asarray(self.std, np.float32)
        return np.ascontiguousarray(values.transpose(2, 0, 1))

    def _sized(self, image: Image.Image) -> Image.Image:
        resample = Image.Resampling(self.resample)
        if self.shortest_edge is None:
            return image.resize((self.width, self.height), resample)
        wide, high = (self.shortest_edge * side // min(image.size) for side in image.size)
        left, top = (wide - self.width) // 2, (high - self.height) // 2
        box = (left, top, left + self.width, top + self.height)
        return image.resize((wide, high), resample).crop(box)


def load_preprocessing(folder: Path) -> Preprocessing:
    """Read how the model in a Hugging Face folder wants its pictures."""
    path = folder / PREPROCESSOR_FILE
    nested = folder / PROCESSOR_FILE
    if not path.exists() and nested.exists():
        path, config = nested, read_json(nested).get("image_processor", {})
    else:
        config = read_json(path)
    try:
        return _preprocessing(config)
    except KeyError as error:
        raise ModelError(f"{path}: the field {error} is missing") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: {error}") from error


def _preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    if config.get("do_resize", True) is False:
        raise ValueError("do_resize false is not supported: pictures come in all sizes")
    size = config["size"]
    shortest = None
    if isinstance(size, int):  # as transformers 4.0 wrote it
        size = {"height": size, "width": size}
    if "shortest_edge" in size:
        shortest = int(size["shortest_edge"])
        size = _crop(config, shortest)
    normalises = config.get("do_normalize", True)
    return Preprocessing(
        height=int(size["height"]),
        width=int(size["width"]),
        mode=str(config.get("image_mode", "RGB")),
        shortest_edge=shortest,
        resample=int(config.get("resample", _BICUBIC)),
        rescale=float(config.get("rescale_factor", 1 / 255))
        if config.get("do_rescale", True)
        else None,
        mean=_channels(config["image_mean"]) if normalises else None,
        std=_channels(config["image_std"]) if normalises else None,
    )


def _crop(config: Mapping[str, Any], shortest: int) -> Mapping[str, int]:
    if not config.get("do_center_crop", True):
        raise ValueError(f"shortest_edge {shortest} without do_center_crop has no fixed size")
    crop = config.get("crop_size", shortest)
    return {"height": crop, "width": crop} if isinstance(crop, int) else crop


def _channels(values: Any) -> tuple[float, ...]:
    if isinstance(values, int | float):
        return (float(values),)
    return tuple(float(value) for value in values)
