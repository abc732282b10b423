"""The live forecaster: keeps one model's forecast current, judged by its past, and published."""

import asyncio
from dataclasses import replace
from pathlib import Path

import structlog

from forecaster.apart import Make
from forecaster.demand.demand import Demand
from forecaster.demand.series import read_demand
from forecaster.forecast import Doubt, Forecast
from forecaster.live.feed import Feed
from forecaster.live.mending import Mending
from forecaster.live.publication import Publication
from forecaster.live.record import Record
from forecaster.live.tracking import begin_tracking
from forecaster.pipeline import LEAST_POINTS, ForecastSettings, Outcome, make_forecast
from telemetry.clock import Clock
from telemetry.publish import Metrics
from telemetry.store import Reader

_log = structlog.get_logger(__name__)


class ForecastService:
    """Keeps one model's demand forecast current.

    `memory` names the file in which what is learnt of its forecasts outlives a restart.
    """

    def __init__(
        self,
        reader: Reader,
        metrics: Metrics,
        clock: Clock,
        settings: ForecastSettings,
        *,
        model: str,
        make: Make = make_forecast,
        memory: Path | None = None,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._model = model
        self._make = make
        self._feed = Feed(
            lambda window: read_demand(reader, model, window),
            step=settings.step_seconds,
            points=settings.history_steps,
            season=settings.season_steps,
        )
        self._mending = Mending(season=settings.season_steps, model=model)
        fresh = begin_tracking(
            step=settings.step_seconds,
            season_steps=settings.season_steps,
            horizon_steps=settings.horizon_steps,
            quantiles=settings.quantiles,
        )
        self._record = Record(fresh, model=model, file=memory)
        self._publication = Publication(metrics, model)
        self._latest: tuple[Demand, Outcome | None] | None = None
        self._said_too_little = False

    def latest(self) -> Forecast | None:
        """Return the newest forecast, or None while there is none; its origin tells its age."""
        outcome = self.outcome()
        return None if outcome is None else outcome.forecast

    def outcome(self) -> Outcome | None:
        """Return the newest forecast together with how each model did that it comes from."""
        return None if self._latest is None else self._latest[1]

    def demand(self) -> Demand | None:
        """Return the demand that the newest forecast was made from."""
        return None if self._latest is None else self._latest[0]

    async def refresh(self) -> None:
        """Forecast from the store as it is now; a failure is counted and leaves the last one."""
        started = self._clock.monotonic()
        try:
            self._latest = await asyncio.to_thread(self._forecast, self._clock.now())
        except Exception as error:  # noqa: BLE001 - the edge of the loop
            _log.warning("forecast failed", model=self._model, why=str(error))
            self._publication.failed()
            self._publication.show(None)
            self._publication.show_ignored(None)
            return
        self._publication.took(self._clock.monotonic() - started)
        self._publication.show(self.latest())
        self._publication.show_ignored(self.demand())
        self._publication.show_past(self._record.tracking)
        self._say_if_too_little()

    def _forecast(self, now: float) -> tuple[Demand, Outcome | None]:
        """Read demand and mend it, judge what had been forecast for it, forecast, remember."""
        demand = self._mending.mended(self._feed.read(now))
        self._record.judge(demand.rate)
        outcome = self._make(demand, self._settings)
        if outcome is None:
            return demand, None
        self._record.remember(outcome.forecast)
        return demand, _doubted(outcome) if self._record.is_doubted else outcome

    def _say_if_too_little(self) -> None:
        is_too_little = self.latest() is None
        if is_too_little and not self._said_too_little:
            _log.info(
                "no forecast yet: too little demand is known",
                model=self._model,
                least_points=LEAST_POINTS,
                step_seconds=self._settings.step_seconds,
            )
        self._said_too_little = is_too_little


def _doubted(outcome: Outcome) -> Outcome:
    """Return the forecast with the doubt that demand has left its quantiles too often."""
    forecast = outcome.forecast
    doubts = tuple(dict.fromkeys((*forecast.doubts, Doubt.UNCALIBRATED)))
    return replace(outcome, forecast=replace(forecast, doubts=doubts))
