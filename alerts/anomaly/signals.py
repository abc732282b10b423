"""The signals that are watched: what came, what was expected, and how noisy it is at least."""

from collections.abc import Sequence
from dataclasses import dataclass

from alerts.anomaly.scorers import (
    Floats,
    ScorerSettings,
    poisson_floor,
    relative_floor,
    trailing_median,
)
from telemetry import catalog
from telemetry.quantiles import read_quantiles
from telemetry.series import Selector, Series, Window, total
from telemetry.store import Reader

_TTFT_QUANTILE = 0.95
_TTFT_ERROR = 0.3  # a quantile read from buckets is off by about this share of itself


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal over a window; NaN marks a gap."""

    name: str
    window: Window
    actual: Floats
    expected: Floats
    floor: Floats | float  # least deviation on the root scale


def read_demand(reader: Reader, model: str, window: Window) -> Signal:
    """Return the demand, expected as it was forecast one step before."""
    arrivals = Selector(catalog.GATEWAY_ARRIVALS.name, {"model": model})
    forecast = Selector(catalog.FORECAST.name, {"model": model, "quantile": "0.5"})
    return Signal(
        "demand",
        window,
        _sum(reader.increase(arrivals, window), window) / window.step,
        _sum(reader.gauge(forecast, window), window),
        poisson_floor(window.step),
    )


def read_ttft(reader: Reader, model: str, window: Window, settings: ScorerSettings) -> Signal:
    """Return the 95th percentile of the time to first token, expected as it lately was."""
    quantiles = read_quantiles(
        reader,
        catalog.TIME_TO_FIRST_TOKEN,
        {"gen_ai_request_model": model},
        window,
        [_TTFT_QUANTILE],
    )
    actual = quantiles[_TTFT_QUANTILE].values
    expected = trailing_median(actual, settings)
    return Signal("ttft_p95", window, actual, expected, relative_floor(expected, _TTFT_ERROR))


def _sum(found: Sequence[Series], window: Window) -> Floats:
    return total(list(found), window).values
