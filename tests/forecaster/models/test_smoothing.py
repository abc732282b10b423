import subprocess
import sys

import numpy as np
import pytest

from forecaster.models.smoothing import ExponentialSmoothing

GAP = np.nan
SMOOTHING = ExponentialSmoothing()


def test_a_constant_demand_stays() -> None:
    assert SMOOTHING.fit_predict(np.full(50, 3.0), 2).tolist() == [3, 3]


def test_a_shift_is_followed() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 100)
    history = np.where(np.arange(100) < 70, 10.0, 30.0) + noise

    assert SMOOTHING.fit_predict(history, 1)[0] == pytest.approx(30, abs=1)


def test_a_gap_leaves_the_level_as_it_was() -> None:
    history = np.random.default_rng(1).poisson(50, 60).astype(float)
    gapped = np.concatenate([history, np.full(20, GAP)])

    np.testing.assert_array_equal(
        SMOOTHING.fit_predict(gapped, 3), SMOOTHING.fit_predict(history, 3)
    )


@pytest.mark.parametrize("size", [1, 2, 3, 9, 10, 11])
def test_a_short_history_is_enough(size: int) -> None:
    path = SMOOTHING.fit_predict(np.arange(1.0, size + 1), 4)

    assert path.shape == (4,)
    assert np.all((path >= 1) & (path <= size))


def test_a_backtest_looks_at_nothing_after_its_origin() -> None:
    history = np.random.default_rng(1).poisson(50, 60).astype(float)
    changed = history.copy()
    changed[41:] = 500.0
    origins = np.arange(20, 41)

    np.testing.assert_array_equal(
        SMOOTHING.backtest(history, 3, origins), SMOOTHING.backtest(changed, 3, origins)
    )


def test_before_the_first_value_nothing_is_expected() -> None:
    history = np.array([GAP, GAP, 4.0, 4.0])

    assert np.isnan(SMOOTHING.backtest(history, 2, np.array([1]))).all()


def test_importing_the_service_does_not_import_the_slow_library() -> None:
    code = "import sys, forecaster.service, forecaster.cli; sys.exit('statsmodels' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
