"""The live model card: what the present forecast is made of, how it does, and its limits."""

from collections.abc import Mapping
from threading import Lock
from typing import Any

from forecaster.demand.demand import Demand
from forecaster.describing.card import make_card
from forecaster.describing.describe import describe
from forecaster.live.service import ForecastService
from forecaster.pipeline import ForecastSettings

_GOOD_FOR_SECONDS = 600.0  # a description changes slowly, and takes a while


class LiveCard:
    """The card of a live forecaster, described anew every ten minutes at most."""

    def __init__(self, forecasts: ForecastService, settings: ForecastSettings) -> None:
        self._forecasts = forecasts
        self._settings = settings
        self._lock = Lock()  # whoever asks meanwhile waits for the same description
        self._described: tuple[float, tuple[str, ...]] | None = None

    def __call__(self) -> Mapping[str, Any] | None:
        """Return the card as JSON has it, or None while there is no forecast."""
        demand, outcome = self._forecasts.demand(), self._forecasts.outcome()
        if demand is None or outcome is None:
            return None
        card = make_card(
            demand,
            self._settings,
            outcome,
            now=outcome.forecast.origin,
            description=self._description(demand),
        )
        return card.as_json()

    def _description(self, demand: Demand) -> tuple[str, ...]:
        with self._lock:
            kept = self._described
            if kept is None or not 0 <= demand.origin - kept[0] < _GOOD_FOR_SECONDS:
                kept = demand.origin, describe(demand, self._settings, origins=0).sentences
                self._described = kept
            return kept[1]
