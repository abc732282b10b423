"""Rotary position embedding: how far each pair of a head's dimensions turns at each position."""

import numpy as np
from numpy.typing import NDArray

from inference.models.spec import ModelSpec


def rotary_tables(spec: ModelSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return cosine and sine of each rotation, shaped (positions, head_dim / 2).

    Models whose rotations are scaled may have both multiplied by an attention factor.
    """
    exponents = np.arange(0, spec.head_dim, 2, dtype=np.float64) / spec.head_dim
    frequencies, factor = spec.rope_theta**-exponents, 1.0
    if spec.rope_scaling is not None:
        frequencies = spec.rope_scaling.stretch(frequencies, theta=spec.rope_theta)
        factor = spec.rope_scaling.attention_factor
    angles = np.outer(np.arange(spec.positions), frequencies)
    cos, sin = factor * np.cos(angles), factor * np.sin(angles)
    return cos.astype(np.float32), sin.astype(np.float32)
