"""Traffic: what the store knows of a model's demand right now; unknown is None, never zero."""

import math
from dataclasses import dataclass, replace

import numpy as np
import structlog

from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.series import Selector, Series, Window, total
from telemetry.store import Reader, StoreUnavailableError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Demand now, requests held for want of a replica, and the mean size of a request."""

    demand: float | None = None  # requests/s
    held: int | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None


class TrafficReader:
    """Reads one model's traffic from the store.

    A living gateway writes its counters at every scrape, so counters that stay silent mean that
    something is broken, not that nobody asks.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        model: str,
        demand_window_seconds: float = 10.0,
        tokens_window_seconds: float = 60.0,
        steps: int = 5,
    ) -> None:
        """Look at demand in `steps` parts of its window; each must be able to hold a scrape."""
        self._reader = reader
        self._model = model
        self._demand_window = demand_window_seconds
        self._tokens_window = tokens_window_seconds
        self._steps = steps
        self._last = Traffic()
        self._is_available = True

    def traffic(self, at: float) -> Traffic:
        """Return the traffic as known at `at` (blocking); sizes last until newer are known."""
        try:
            sizes = self._sizes(at) or (self._last.input_tokens, self._last.output_tokens)
            self._last = Traffic(self._demand(at), self._held(at), *sizes)
            self._tell(is_available=True)
        except StoreUnavailableError as error:
            self._last = replace(self._last, demand=None, held=None)
            self._tell(is_available=False, error=str(error))
        return self._last

    def _demand(self, at: float) -> float | None:
        """Return the mean rate of arrivals over the steps that were seen, the last among them."""
        window = self._window(at, self._demand_window)
        grown = self._increase(catalog.GATEWAY_ARRIVALS, window).values
        if not np.isfinite(grown[-2:]).any():
            return None
        return float(np.nanmean(grown)) / window.step

    def _held(self, at: float) -> int | None:
        selector = Selector(catalog.GATEWAY_HELD.name, {"model": self._model})
        newest = self._reader.latest(selector, at=at, within=self._demand_window)
        values = [sample.value for sample in newest if math.isfinite(sample.value)]
        return round(sum(values)) if values else None

    def _sizes(self, at: float) -> tuple[float, float] | None:
        """Return the mean prompt and answer length of requests answered lately, if there are."""
        window = self._window(at, self._tokens_window)
        answered = _sum(self._increase(catalog.GATEWAY_REQUESTS, window, code="200"))
        if not answered:
            return None
        prompts = _sum(self._increase(catalog.GATEWAY_INPUT_TOKENS, window))
        answers = _sum(self._increase(catalog.GATEWAY_OUTPUT_TOKENS, window))
        return prompts / answered, answers / answered

    def _increase(self, metric: Metric, window: Window, **labels: str) -> Series:
        selector = Selector(metric.name, {"model": self._model, **labels})
        return total(list(self._reader.increase(selector, window)), window)

    def _window(self, at: float, seconds: float) -> Window:
        step = seconds / self._steps
        return Window(at - step * (self._steps - 1), at, step)

    def _tell(self, *, is_available: bool, error: str = "") -> None:
        """Log when the store goes away and when it is back, not at every turn between."""
        if is_available != self._is_available and is_available:
            _log.info("metrics store is back")
        elif is_available != self._is_available:
            _log.warning("metrics store is unavailable: nothing goes down", error=error)
        self._is_available = is_available


def _sum(series: Series) -> float:
    return float(np.nansum(series.values))
