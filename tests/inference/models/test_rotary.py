import dataclasses

import numpy as np
import pytest

from inference.models.rope_scaling import LinearScaling, Llama3Scaling, YarnScaling
from inference.models.rotary import rotary_tables
from tests.inference.conftest import TINY, tiny

PLAIN = 10_000.0 ** -(np.arange(8) / 8)  # radians per position of TINY's eight pairs


def angles(spec, position: int) -> np.ndarray:
    """How far each pair has turned; positions are taken small enough not to wrap."""
    cos, sin = (table[position].astype(np.float64) for table in rotary_tables(spec))
    return np.arctan2(sin, cos)


def scaled(scaling) -> np.ndarray:
    return angles(dataclasses.replace(TINY, rope_scaling=scaling), 1)


def test_each_pair_turns_at_its_own_rate():
    cos, sin = rotary_tables(TINY)

    assert cos.shape == sin.shape == (256, 8)
    assert cos.dtype == np.float32
    np.testing.assert_allclose(angles(TINY, 1), PLAIN, rtol=1e-6)
    np.testing.assert_allclose(angles(TINY, 3), 3 * PLAIN, rtol=1e-6)
    np.testing.assert_allclose(cos**2 + sin**2, 1, rtol=1e-6)


def test_linear_scaling_slows_every_pair():
    np.testing.assert_allclose(scaled(LinearScaling(4.0)), PLAIN / 4, rtol=1e-6)


def test_llama3_scaling_slows_the_slow_pairs_only():
    slowed = PLAIN / scaled(Llama3Scaling(8.0, 1.0, 4.0, 64))

    # In 64 positions the first pair turns 10 times, the second 3.2 times, the third once.
    np.testing.assert_allclose(slowed[[0, 3, 7]], [1, 8, 8], rtol=1e-6)
    assert 1 < slowed[1] < slowed[2] < 8.001


def test_yarn_slows_by_a_ramp_and_sharpens_attention():
    spec = tiny("yarn")
    slowed = PLAIN / angles(spec, 1)
    cos, sin = rotary_tables(spec)

    assert slowed[0] == pytest.approx(1, rel=1e-6)
    assert slowed[-1] == pytest.approx(4, rel=1e-6)
    assert np.all(np.diff(slowed) > -1e-6)
    np.testing.assert_allclose(np.hypot(cos, sin), 1 + 0.1 * np.log(4), rtol=1e-6)


def test_a_yarn_ramp_of_no_width_is_a_step():
    step = YarnScaling(4.0, 64, 1.0, beta_fast=2.0, beta_slow=2.0, truncate=False)

    slowed = PLAIN / scaled(step)

    np.testing.assert_allclose(slowed, [1, 1, 4, 4, 4, 4, 4, 4], rtol=1e-6)


def test_llama3_scaling_needs_a_band_to_blend_in():
    with pytest.raises(ValueError, match="high_freq_factor above low_freq_factor"):
        Llama3Scaling(8.0, 4.0, 4.0, 64)
