"""Fitting with statsmodels, whose warnings are for the log, and no reason to stop."""

import warnings
from collections.abc import Callable
from typing import TypeVar

import structlog

_log = structlog.get_logger(__name__)

Result = TypeVar("Result")


def quietly(fit: Callable[[], Result], model: str) -> Result:
    """Return what `fit` returns, and log each warning on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = fit()
    for message in {str(warning.message) for warning in caught}:
        _log.debug("fitted with a warning", model=model, warning=message)
    return result
