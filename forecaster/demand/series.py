"""Demand of a model out of the metrics store: what the gateway counted in each step."""

from collections.abc import Mapping

import numpy as np

from forecaster.demand.demand import Demand, Floats
from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.series import Selector, Series, Window, total
from telemetry.store import Reader

NO_LABELS: Mapping[str, str] = {}


def read_demand(
    reader: Reader, model: str, window: Window, *, labels: Mapping[str, str] = NO_LABELS
) -> Demand:
    """Return the demand for a model, of what has these labels, in the step before each point.

    Tokens are those that the requests which arrived are expected to cost, by the mean size of
    the requests answered in the same step: those turned away are demand as well.
    """
    asked = {"model": model, **labels}
    rate = _rate(reader, catalog.GATEWAY_ARRIVALS, window, asked)
    answered = _rate(reader, catalog.GATEWAY_REQUESTS, window, {**asked, "code": "200"})

    def tokens(metric: Metric) -> Series | None:
        spent = _rate(reader, metric, window, asked)
        values = _of_arrivals(rate.values, spent.values, answered.values)
        return Series(asked, window, values) if np.isfinite(values).any() else None

    return Demand(
        model, rate, tokens(catalog.GATEWAY_INPUT_TOKENS), tokens(catalog.GATEWAY_OUTPUT_TOKENS)
    )


def known_values(
    reader: Reader, model: str, label: str, *, at: float, within: float
) -> tuple[str, ...]:
    """Return the values of a label, such as region, that the arrivals of a model have lately.

    Empty where the gateway counts its arrivals without that label.
    """
    arrivals = Selector(catalog.GATEWAY_ARRIVALS.name, {"model": model})
    found = reader.latest(arrivals, at=at, within=within)
    return tuple(sorted({one.labels[label] for one in found if label in one.labels}))


def _rate(reader: Reader, metric: Metric, window: Window, labels: Mapping[str, str]) -> Series:
    grown = total(list(reader.increase(Selector(metric.name, labels), window)), window)
    return Series(dict(labels), window, grown.values / window.step)


def _of_arrivals(arrived: Floats, spent: Floats, answered: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.where(answered > 0, arrived * spent / answered, np.nan)
    return np.where((arrived == 0) & ~np.isnan(spent), 0.0, scaled)
