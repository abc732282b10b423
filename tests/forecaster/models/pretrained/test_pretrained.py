from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from forecaster.models.extras import ModelError, installed
from forecaster.models.foundation import FoundationModel
from forecaster.models.pretrained.chronos import Chronos
from forecaster.models.pretrained.deciles import at_levels
from forecaster.models.pretrained.timesfm import TimesFM
from forecaster.models.pretrained.toto import Toto

LEVELS = (0.1, 0.5, 0.9)
CONTEXTS = [np.full(40, 2.0), np.full(70, 5.0)]  # each model tells last value + level


class Bolt:
    """Stands in for a Chronos-Bolt pipeline: one array, series x steps x levels."""

    def predict_quantiles(
        self, inputs: list[Any], *, prediction_length: int, quantile_levels: list[float]
    ) -> tuple[Any, Any]:
        last = np.array([series[-1] for series in inputs])
        told = last[:, None, None] + np.array(quantile_levels)
        return np.repeat(told, prediction_length, axis=1), last


class Second(Bolt):
    """Stands in for a Chronos-2 pipeline: a list, each variates x steps x levels."""

    def predict_quantiles(
        self, inputs: list[Any], *, prediction_length: int, quantile_levels: list[float]
    ) -> tuple[Any, Any]:
        told, last = super().predict_quantiles(
            inputs, prediction_length=prediction_length, quantile_levels=quantile_levels
        )
        return [one[None] for one in told], last


class Decoder:
    """Stands in for a compiled TimesFM: mean and nine deciles."""

    def forecast(self, *, horizon: int, inputs: list[Any]) -> tuple[Any, Any]:
        last = np.array([series[-1] for series in inputs])
        told = last[:, None, None] + np.array([0.5, *np.arange(1, 10) / 10])
        return last, np.repeat(told, horizon, axis=1)


class Masked:
    """Stands in for a Toto 2.0 model: nine deciles x series x variates x steps."""

    def forecast(
        self, inputs: Mapping[str, Any], *, horizon: int, has_missing_values: bool
    ) -> Any:
        assert inputs["target"].shape == inputs["target_mask"].shape == (2, 1, 96)
        assert inputs["target_mask"].sum(axis=-1).ravel().tolist() == [40, 70]
        assert inputs["series_ids"].shape == (2, 1)
        assert has_missing_values
        last = inputs["target"][:, :, -1]
        told = last[None, :, :, None] + np.arange(1, 10)[:, None, None, None] / 10
        return np.repeat(told, horizon, axis=-1)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(Chronos(Bolt()), id="chronos-bolt"),
        pytest.param(Chronos(Second()), id="chronos-2"),
        pytest.param(TimesFM(Decoder(), most=4), id="timesfm"),
        pytest.param(Toto(Masked()), id="toto"),
    ],
)
def test_what_a_library_tells_becomes_quantiles(model: FoundationModel) -> None:
    told = model.quantiles(CONTEXTS, 6, LEVELS)

    assert told.shape == (2, 6, 3)
    np.testing.assert_allclose(told[0], np.tile([2.1, 2.5, 2.9], (6, 1)), rtol=1e-6)
    np.testing.assert_allclose(told[1], np.tile([5.1, 5.5, 5.9], (6, 1)), rtol=1e-6)


def test_levels_between_deciles_are_interpolated_and_those_beyond_are_the_outermost() -> None:
    told = at_levels(np.arange(1.0, 10.0), (0.01, 0.1, 0.25, 0.9, 0.99))

    np.testing.assert_allclose(told, [1.0, 1.0, 2.5, 9.0, 9.0])


@pytest.mark.parametrize(
    ("module", "package"), [("chronos", "chronos"), ("timesfm", "timesfm"), ("toto", "toto2")]
)
def test_a_library_that_is_missing_is_named(module: str, package: str) -> None:
    if installed([package]):
        pytest.skip(f"{package} is installed")

    with pytest.raises(ModelError, match=f"{package}.*pip install"):
        import_module(f"forecaster.models.pretrained.{module}").load()
