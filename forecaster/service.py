"""The live forecaster: reads demand from the store, keeps the latest forecast, publishes it."""

import asyncio

import numpy as np
import structlog

from forecaster.forecast import Forecast
from forecaster.models.model import Floats
from forecaster.pipeline import LEAST_POINTS, ForecastSettings, make_forecast
from forecaster.scores import coverage
from forecaster.series import read_demand
from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.clock import Clock
from telemetry.publish import Metrics
from telemetry.series import Selector, Window
from telemetry.store import Reader

_log = structlog.get_logger(__name__)

_PUBLISHED = (0.1, 0.5, 0.9)
_LEAST_MATURED = 10  # fewer say nothing about a share


class ForecastService:
    """Keeps one model's demand forecast current."""

    def __init__(
        self, reader: Reader, metrics: Metrics, clock: Clock, settings: ForecastSettings
    ) -> None:
        self._reader = reader
        self._metrics = metrics
        self._clock = clock
        self._settings = settings
        self._latest: Forecast | None = None
        self._said_too_little = False
        metrics.counter(catalog.FORECAST_ERRORS)

    def latest(self) -> Forecast | None:
        """Return the newest forecast, or None while there is none; its origin tells its age."""
        return self._latest

    async def refresh(self) -> None:
        """Forecast from the store as it is now; a failure is counted and leaves the last one."""
        try:
            forecast, covered = await asyncio.to_thread(self._forecast, self._clock.now())
        except Exception as error:  # noqa: BLE001 - the edge of the loop
            _log.warning("forecast failed", model=self._settings.model, why=str(error))
            self._metrics.counter(catalog.FORECAST_ERRORS).inc()
            self._publish(None, {})
            return
        self._latest = forecast
        self._publish(forecast, covered)
        self._say_if_too_little(forecast)

    def _forecast(self, now: float) -> tuple[Forecast | None, dict[float, float]]:
        settings = self._settings
        window = Window.ending(now, step=settings.step_seconds, points=settings.history_steps)
        demand = read_demand(self._reader, settings.model, window)
        outcome = make_forecast(demand, settings)
        forecast = None if outcome is None else outcome.forecast
        return forecast, self._coverage(demand.values, window)

    def _coverage(self, demand: Floats, window: Window) -> dict[float, float]:
        """Compare the forecasts that the store remembers with the demand that came."""
        forecasts = self._reader.gauge(
            Selector(catalog.FORECAST.name, {"model": self._settings.model}), window
        )
        return {
            float(series.labels["quantile"]): coverage(demand, series.values)
            for series in forecasts
            if np.isfinite(demand + series.values).sum() >= _LEAST_MATURED
        }

    def _publish(self, forecast: Forecast | None, covered: dict[float, float]) -> None:
        """Show what is expected of the step that runs now; what is not known is not shown."""
        ahead = {} if forecast is None else {q: forecast.at_quantile(q)[0] for q in _PUBLISHED}
        self._replace(catalog.FORECAST, ahead)
        self._replace(catalog.FORECAST_COVERAGE, covered)

    def _replace(self, metric: Metric, by_quantile: dict[float, float]) -> None:
        self._metrics.replace(
            metric,
            [
                ({"model": self._settings.model, "quantile": str(quantile)}, float(value))
                for quantile, value in by_quantile.items()
            ],
        )

    def _say_if_too_little(self, forecast: Forecast | None) -> None:
        if forecast is None and not self._said_too_little:
            _log.info(
                "no forecast yet: too little demand is known",
                model=self._settings.model,
                least_points=LEAST_POINTS,
                step_seconds=self._settings.step_seconds,
            )
        self._said_too_little = forecast is None
