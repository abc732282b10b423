"""The console: reads the store and the feeds into a snapshot, for however many people look.

Reading happens in a worker thread, once for everybody who asks within a fraction of a second.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog

from dashboards.console.devices import read_gpus
from dashboards.console.feeds import Feeds, as_anomaly, as_decision, as_outlook, as_replica
from dashboards.console.latency import read_latency
from dashboards.console.reading import (
    read_capacity,
    read_demand,
    read_replicas,
    read_signals,
    read_targets,
    read_traffic,
)
from dashboards.console.sections import Unavailable
from dashboards.console.snapshot import Settings, Snapshot
from telemetry.clock import Clock
from telemetry.series import Window
from telemetry.store import Reader

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


class ConsoleError(Exception):
    """The console cannot say anything at the moment; its text says why."""


class Console:
    """Snapshots of one model's stack."""

    def __init__(  # noqa: D417 - the settings speak for themselves
        self,
        reader: Reader,
        *,
        settings: Settings,
        clock: Clock,
        feeds: Feeds | None = None,
        reuse_seconds: float = 0.4,
        deadline_seconds: float = 10.0,
    ) -> None:
        """Remember where to read.

        Args:
            reuse_seconds: how old a snapshot may be and still be handed to the next who asks.
            deadline_seconds: how long a reading may take before those who wait are told.
        """
        self._reader = reader
        self._settings = settings
        self._clock = clock
        self._feeds = feeds or Feeds()
        self._reuse_seconds = reuse_seconds
        self._deadline_seconds = deadline_seconds
        self._reading: asyncio.Task[Snapshot] | None = None
        self._last: Snapshot | None = None
        self._reasons: dict[str, str] = {}

    async def snapshot(self, now: float | None = None) -> Snapshot:
        """Return the stack as of `now` (the clock's, if not given); raise ConsoleError if slow."""
        at = self._clock.now() if now is None else now
        if self._last is not None and 0 <= at - self._last.at < self._reuse_seconds:
            return self._last
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(asyncio.to_thread(self.read, at))
        try:
            async with asyncio.timeout(self._deadline_seconds):
                self._last = await asyncio.shield(self._reading)
        except TimeoutError as error:
            waited = f"{self._deadline_seconds:g} s"
            raise ConsoleError(f"the metrics store has not answered for {waited}") from error
        return self._last

    async def close(self) -> None:
        """Wait for a reading that is still under way."""
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=self._deadline_seconds)

    def read(self, now: float) -> Snapshot:
        """Read everything as of `now`, here and in this thread."""
        own, reader, feeds = self._settings, self._reader, self._feeds
        model, within = own.model, own.fresh_seconds
        window = Window.ending(now, step=own.step_seconds, points=own.points)
        section = self._section
        return Snapshot(
            at=now,
            settings=own,
            times=tuple(window.times.tolist()),
            demand=section("demand", lambda: read_demand(reader, model, window, within=within)),
            forecast=section("forecast", lambda: as_outlook(feeds.forecast())),
            replicas=section(
                "replicas", lambda: read_replicas(reader, model, window, now=now, within=within)
            ),
            latency=section("latency", lambda: read_latency(reader, model, window)),
            traffic=section(
                "traffic", lambda: read_traffic(reader, model, window, now=now, within=within)
            ),
            gpus=section("gpus", lambda: read_gpus(reader, now=now, within=within)),
            capacity=section(
                "capacity", lambda: read_capacity(reader, model, now=now, within=within)
            ),
            fleet=section("fleet", lambda: tuple(map(as_replica, feeds.fleet()))),
            signals=section(
                "signals", lambda: read_signals(reader, model, window, now=now, within=within)
            ),
            anomalies=section("anomalies", lambda: tuple(map(as_anomaly, feeds.anomalies()))),
            decisions=section(
                "decisions", lambda: tuple(map(as_decision, feeds.decisions(own.decisions)))
            ),
            targets=section("targets", lambda: read_targets(reader, now=now, within=within)),
        )

    def _section(self, name: str, read: Callable[[], _T]) -> _T | Unavailable:
        """Read one section; a failure becomes its reason and leaves the others alone."""
        try:
            value = read()
        except Exception as error:  # noqa: BLE001 - one broken source never hides the others
            reason = str(error) or type(error).__name__
            if self._reasons.get(name) != reason:
                _log.warning("console_section_unavailable", section=name, reason=reason)
            self._reasons[name] = reason
            return Unavailable(reason)
        self._reasons.pop(name, None)
        return value
