"""A forecast as JSON has it: one shape, over HTTP and on the command line."""

from typing import Any

import numpy as np

from forecaster.forecast import Forecast, Highest
from forecaster.scenarios import Floats, Scenarios

_DIGITS = 6  # significant ones: no forecast has more


def forecast_body(
    forecast: Forecast, *, highest: Highest | None = None, paths: int = 0
) -> dict[str, Any]:
    """Return the forecast with what is asked besides; what is not known is null."""
    body: dict[str, Any] = {
        "origin": forecast.origin,
        "step": forecast.step,
        "unit": forecast.unit,
        "model": forecast.model,
        "quantiles": list(forecast.quantiles),
        "times": forecast.times.tolist(),
        "values": _plain(forecast.values),
        "weights": {name: _number(share) for name, share in forecast.weights.items()},
        "doubts": [doubt.value for doubt in forecast.doubts],
        "may_scale_down": forecast.may_scale_down,
        "calibration": _calibration(forecast),
    }
    if highest is not None:
        body["highest"] = _highest(highest)
    if paths and forecast.scenarios is not None:
        body["paths"] = _scenarios(forecast.scenarios.thinned(paths))
    return body


def _highest(highest: Highest) -> dict[str, Any]:
    return {
        "begins": highest.begins,
        "ends": highest.ends,
        "quantiles": list(highest.quantiles),
        "values": _plain(highest.values),
    }


def _scenarios(scenarios: Scenarios) -> dict[str, Any]:
    return {
        name: None if values is None else _plain(values)
        for name, values in (
            ("rate", scenarios.rate),
            ("input_tokens", scenarios.input_tokens),
            ("output_tokens", scenarios.output_tokens),
        )
    }


def _calibration(forecast: Forecast) -> dict[str, Any] | None:
    known = forecast.calibration
    if known is None:
        return None
    return {
        "coverage": {str(level): _number(share) for level, share in known.coverage.items()},
        "errors": known.errors,
        "loss": _number(known.loss),
    }


def _plain(values: Floats) -> Any:
    """Return nested lists of numbers, null where one is not known."""
    if values.ndim > 1:
        return [_plain(row) for row in values]
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
