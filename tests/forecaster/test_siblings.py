"""Errors of like demands."""

import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.settings import ForecastSettings
from forecaster.siblings import sibling_errors
from telemetry.series import Series, Window

SETTINGS = ForecastSettings(600.0, 144, 6, history_seasons=2)
HORIZONS = np.array([1, 3, 6])


def sibling(rates: np.ndarray, step: float = 600.0) -> Demand:
    return Demand("s", Series({}, Window(step, step * rates.size, step), rates))


def noise(size: int = 400, level: float = 100.0) -> np.ndarray:
    return np.random.default_rng(0).normal(level, level / 20, size)


def test_errors_are_in_the_siblings_own_scale_whatever_its_traffic() -> None:
    small, large = (
        sibling_errors([sibling(noise(level=n))], SETTINGS, HORIZONS) for n in (1, 1e6)
    )

    np.testing.assert_allclose(small, large, rtol=1e-3)
    assert small.shape[1] == 3
    assert 0.5 < np.nanstd(small) < 3


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(sibling(noise(), step=60.0), id="on another grid"),
        pytest.param(sibling(noise(29)), id="too short"),
        pytest.param(sibling(np.r_[noise(), np.full(288, np.nan)]), id="known only long ago"),
    ],
)
def test_who_knows_too_little_has_no_say(other: Demand) -> None:
    assert sibling_errors([other], SETTINGS, HORIZONS).shape == (0, 3)


def test_all_siblings_have_a_say() -> None:
    one, two = (sibling_errors([sibling(noise())] * n, SETTINGS, HORIZONS) for n in (1, 2))

    assert len(two) == 2 * len(one)
