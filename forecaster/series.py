"""Demand as a series: requests per second in each step, with its gaps."""

from telemetry import catalog
from telemetry.series import Selector, Series, Window, total
from telemetry.store import Reader


def read_demand(reader: Reader, model: str, window: Window) -> Series:
    """Return the demand for a model in the step before each point, in requests/s."""
    arrivals = Selector(catalog.GATEWAY_ARRIVALS.name, {"model": model})
    counted = total(list(reader.increase(arrivals, window)), window)
    return Series({"model": model}, window, counted.values / window.step)
