"""How a model trained on short contexts turns its rotations slower, to see further."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Frequencies = NDArray[np.float64]  # radians per position, one per pair of a head's dimensions


@dataclass(frozen=True, slots=True)
class LinearScaling:
    """Every rotation is `factor` times slower."""

    kind: ClassVar[str] = "linear"
    factor: float
    attention_factor: ClassVar[float] = 1.0

    def stretch(self, frequencies: Frequencies, *, theta: float) -> Frequencies:  # noqa: ARG002 - of the others
        """Return the frequencies at which this model turns."""
        return frequencies / self.factor


@dataclass(frozen=True, slots=True)
class Llama3Scaling:
    """Slow rotations are slower by `factor`, quick ones stay, those between are blended."""

    kind: ClassVar[str] = "llama3"
    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int
    attention_factor: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        if self.high_freq_factor <= self.low_freq_factor:
            raise ValueError(
                f"expected high_freq_factor above low_freq_factor, got {self.high_freq_factor} "
                f"and {self.low_freq_factor}"
            )

    def stretch(self, frequencies: Frequencies, *, theta: float) -> Frequencies:  # noqa: ARG002 - of the others
        """Return the frequencies at which this model turns."""
        turns = self.original_max_position_embeddings * frequencies / (2 * np.pi)
        span = self.high_freq_factor - self.low_freq_factor
        kept = np.clip((turns - self.low_freq_factor) / span, 0, 1)
        return frequencies * (kept + (1 - kept) / self.factor)


@dataclass(frozen=True, slots=True)
class YarnScaling:
    """Yarn (arXiv 2309.00071): a ramp over the dimensions from as they were to `factor` slower."""

    kind: ClassVar[str] = "yarn"
    factor: float
    original_max_position_embeddings: int
    attention_factor: float  # of the tables, hence squared in the scores
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True

    def stretch(self, frequencies: Frequencies, *, theta: float) -> Frequencies:
        """Return the frequencies at which this model turns."""
        pairs = len(frequencies)
        low = self._pair_of(self.beta_fast, pairs, theta)
        high = self._pair_of(self.beta_slow, pairs, theta)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        # Clamped to dimensions, though counted in pairs: the paper's code, hence everybody's.
        low, high = max(low, 0), min(high, 2 * pairs - 1)
        width = (high - low) or 0.001
        slowed = np.clip((np.arange(pairs) - low) / width, 0, 1)
        stretched: Frequencies = frequencies * (1 - slowed + slowed / self.factor)
        return stretched

    def _pair_of(self, turns: float, pairs: int, theta: float) -> float:
        """Return which pair, counted in fractions, turns so often in the original context."""
        wavelength = self.original_max_position_embeddings / turns
        return pairs * math.log(wavelength / (2 * math.pi)) / math.log(theta)


RopeScaling = LinearScaling | Llama3Scaling | YarnScaling


def rope_settings(config: Mapping[str, Any]) -> tuple[float, RopeScaling | None]:
    """Return the base of the rotations and how they are stretched; ValueError where unknown."""
    # transformers 5 moved all of it into `rope_parameters`; a `rope_scaling` beside it wins there.
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if any(isinstance(value, Mapping) for value in rope.values()):
        raise ValueError("rope_parameters that differ from layer to layer are not supported")
    for place in (rope, config):
        if place.get("partial_rotary_factor") not in (None, 1, 1.0):
            raise ValueError("partial_rotary_factor is not supported, only whole heads turn")
    theta = float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    return theta, _scaling(rope, _original_positions(config, rope))


def _scaling(rope: Mapping[str, Any], original: int) -> RopeScaling | None:
    match kind := rope.get("rope_type", rope.get("type", "default")):
        # Dynamic scaling begins beyond max_position_embeddings, which is as far as we serve.
        case "default" | "dynamic":
            return None
        case "linear":
            return LinearScaling(_factor(rope))
        case "llama3":
            low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
            return Llama3Scaling(_factor(rope), low, high, original)
        case "yarn":
            return _yarn(rope, original)
    raise ValueError(
        f"rotary scaling {kind!r} is not supported, only default, linear, dynamic, llama3 and yarn"
    )


def _yarn(rope: Mapping[str, Any], original: int) -> YarnScaling:
    factor = _factor(rope)
    stated = rope.get("attention_factor")
    return YarnScaling(
        factor=factor,
        original_max_position_embeddings=original,
        attention_factor=_attention_factor(rope, factor) if stated is None else float(stated),
        beta_fast=float(rope.get("beta_fast") or 32),
        beta_slow=float(rope.get("beta_slow") or 1),
        truncate=bool(rope.get("truncate", True)),
    )


def _attention_factor(rope: Mapping[str, Any], factor: float) -> float:
    def sharpened(by: float) -> float:
        return 0.1 * by * math.log(factor) + 1 if factor > 1 else 1.0

    above, below = rope.get("mscale"), rope.get("mscale_all_dim")
    if above and below:
        return sharpened(float(above)) / sharpened(float(below))
    return sharpened(1.0)


def _factor(rope: Mapping[str, Any]) -> float:
    factor = rope["factor"]
    if not isinstance(factor, int | float) or not 0 < factor < math.inf:
        raise ValueError(f"expected a rotary scaling factor above 0, got {factor!r}")
    return float(factor)


def _original_positions(config: Mapping[str, Any], rope: Mapping[str, Any]) -> int:
    name = "original_max_position_embeddings"
    return int(config.get(name) or rope.get(name) or config["max_position_embeddings"])
