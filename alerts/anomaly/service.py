"""The live detector: reads signals from the store, scores them, publishes what is abnormal."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import structlog

from alerts.anomaly.anomaly import Anomaly
from alerts.anomaly.scorers import Flags, ScorerSettings, score
from alerts.anomaly.signals import Signal, read_demand, read_ttft
from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.clock import Clock
from telemetry.publish import Metrics
from telemetry.series import Window
from telemetry.store import Reader

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AnomalySettings:
    """Which model's signals are watched, in which steps, and what counts as abnormal."""

    model: str
    step_seconds: float
    scorer: ScorerSettings = field(default_factory=ScorerSettings)

    @property
    def points(self) -> int:
        """Points to read: to expect from, to tell what is usual from, and to judge."""
        return 3 * self.scorer.window


class AnomalyService:
    """Keeps the anomalies of one model's signals current."""

    def __init__(
        self, reader: Reader, metrics: Metrics, clock: Clock, settings: AnomalySettings
    ) -> None:
        self._reader = reader
        self._metrics = metrics
        self._clock = clock
        self._settings = settings
        self._latest: tuple[Anomaly, ...] = ()
        metrics.counter(catalog.ANOMALY_ERRORS)

    def latest(self) -> tuple[Anomaly, ...]:
        """Return the signals that could be scored last time, abnormal or not."""
        return self._latest

    async def refresh(self) -> None:
        """Score the store's latest step; after a failure, which is counted, nothing is known."""
        try:
            found = await asyncio.to_thread(self._score, self._clock.now())
        except Exception as error:  # noqa: BLE001 - the edge of the loop
            _log.warning("anomalies not scored", model=self._settings.model, why=str(error))
            self._metrics.counter(catalog.ANOMALY_ERRORS).inc()
            found = ()
        self._log_new(found)
        self._latest = found
        self._publish()

    def _score(self, now: float) -> tuple[Anomaly, ...]:
        model, scorer = self._settings.model, self._settings.scorer
        window = Window.ending(now, step=self._settings.step_seconds, points=self._settings.points)
        signals = (
            read_demand(self._reader, model, window),
            read_ttft(self._reader, model, window, scorer),
        )
        newest = (judge_newest(signal, scorer) for signal in signals)
        return tuple(anomaly for anomaly in newest if anomaly is not None)

    def _publish(self) -> None:
        self._replace(catalog.ANOMALY_SCORE, lambda anomaly: anomaly.score)
        self._replace(catalog.ANOMALY_LOW, lambda anomaly: anomaly.low)
        self._replace(catalog.ANOMALY_HIGH, lambda anomaly: anomaly.high)
        self._replace(catalog.ANOMALY_ACTIVE, lambda anomaly: float(anomaly.active))

    def _replace(self, metric: Metric, value: Callable[[Anomaly], float]) -> None:
        self._metrics.replace(
            metric,
            [
                ({"model": self._settings.model, "signal": anomaly.signal}, value(anomaly))
                for anomaly in self._latest
            ],
        )

    def _log_new(self, found: tuple[Anomaly, ...]) -> None:
        before = {anomaly.signal for anomaly in self._latest if anomaly.active}
        for anomaly in found:
            if anomaly.active and anomaly.signal not in before:
                _log.warning(
                    "abnormal",
                    model=self._settings.model,
                    signal=anomaly.signal,
                    value=anomaly.value,
                    expected=anomaly.expected,
                    score=anomaly.score,
                )


def judge_newest(signal: Signal, settings: ScorerSettings) -> Anomaly | None:
    """Judge the newest point of a signal; None where that point has no score."""
    scores = score(signal.actual, signal.expected, floor=signal.floor, settings=settings)
    if not np.isfinite(scores.score[-1]):
        return None
    return Anomaly(
        signal=signal.name,
        at=signal.window.end,
        value=float(signal.actual[-1]),
        expected=float(scores.expected[-1]),
        low=float(scores.low[-1]),
        high=float(scores.high[-1]),
        score=float(scores.score[-1]),
        active=bool(scores.active[-1]),
        since=_since(scores.active, signal.window),
    )


def _since(active: Flags, window: Window) -> float | None:
    """Return when the stretch that the last point belongs to became abnormal, if it is."""
    if not active[-1]:
        return None
    quiet = np.flatnonzero(~active)
    first = int(quiet[-1]) + 1 if quiet.size else 0
    return float(window.times[first])
