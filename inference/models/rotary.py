"""Rotary position embedding: how far each pair of a head's dimensions turns at each position."""

import numpy as np
from numpy.typing import NDArray

from inference.models.spec import ModelSpec


def rotary_tables(spec: ModelSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return cosine and sine of each rotation, shaped (positions, head_dim / 2)."""
    exponents = np.arange(0, spec.head_dim, 2, dtype=np.float64) / spec.head_dim
    angles = np.outer(np.arange(spec.positions), spec.rope_theta**-exponents)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
