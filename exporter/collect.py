"""The collection loop: ask a source on a fixed cadence and keep one immutable snapshot.

Scrapes read the snapshot and never touch a driver, so a driver that hangs cannot hang a scrape.
"""

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import structlog

from exporter.reading import Reading
from exporter.sources.source import Source
from telemetry.clock import Clock

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the last collection found; after one that failed, no device is up."""

    readings: tuple[Reading, ...] = ()
    duration_seconds: float | None = None  # of the last collection that was answered
    answered: float | None = None  # when that was, on the monotonic clock
    errors: int = 0  # collections that failed so far


class Collector:
    """Keeps the latest snapshot of one source."""

    def __init__(
        self,
        source: Source,
        clock: Clock,
        *,
        cadence_seconds: float = 1.0,
        deadline_seconds: float = 5.0,
    ) -> None:
        self._source = source
        self._clock = clock
        self._cadence = cadence_seconds
        self._deadline = deadline_seconds
        self._snapshot = Snapshot()
        self._pending: asyncio.Future[Sequence[Reading]] | None = None
        self._asked_at = 0.0

    @property
    def source_name(self) -> str:
        """Name of the source, for labels."""
        return self._source.name

    @property
    def snapshot(self) -> Snapshot:
        """What the last collection found."""
        return self._snapshot

    @property
    def age_seconds(self) -> float | None:
        """Time since the source last answered, or None where it never did."""
        answered = self._snapshot.answered
        return None if answered is None else self._clock.monotonic() - answered

    async def run(self) -> NoReturn:
        """Collect on the cadence until cancelled."""
        while True:
            started = self._clock.monotonic()
            await self.collect()
            spent = self._clock.monotonic() - started
            await asyncio.sleep(max(0.0, self._cadence - spent))

    async def collect(self) -> None:
        """Ask the source once; while an earlier question hangs, wait for that one instead."""
        if self._pending is None:
            self._asked_at = self._clock.monotonic()
            self._pending = self._ask()
        done, _ = await asyncio.wait({self._pending}, timeout=self._deadline)
        if not done:
            self._fail(f"no answer within {self._deadline:g} s")
            return
        answer, self._pending = self._pending, None
        try:
            readings = tuple(answer.result())
        except Exception as error:  # noqa: BLE001 - the edge of the loop
            self._fail(str(error) or type(error).__name__)
        else:
            self._succeed(readings)

    def _succeed(self, readings: tuple[Reading, ...]) -> None:
        now = self._clock.monotonic()
        self._snapshot = Snapshot(readings, now - self._asked_at, now, self._snapshot.errors)

    def _fail(self, why: str) -> None:
        """Blank every device: nobody knows their values now."""
        last = self._snapshot
        _log.warning("collection failed", source=self._source.name, why=why)
        self._snapshot = Snapshot(
            tuple(Reading.down(reading.identity) for reading in last.readings),
            last.duration_seconds,
            last.answered,
            last.errors + 1,
        )

    def _ask(self) -> asyncio.Future[Sequence[Reading]]:
        """Read the source in a daemon thread: one that hangs must not hold up the exit."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[Reading]] = loop.create_future()
        threading.Thread(
            target=_read,
            args=(self._source, loop, answer),
            name=f"collect-{self._source.name}",
            daemon=True,
        ).start()
        return answer


def _read(
    source: Source,
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[Sequence[Reading]],
) -> None:
    try:
        readings = source.read()
    except Exception as error:  # noqa: BLE001 - handed to the loop, which counts and logs it
        _deliver(loop, answer, error)
    else:
        _deliver(loop, answer, readings)


def _deliver(
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[Sequence[Reading]],
    outcome: Sequence[Reading] | Exception,
) -> None:
    def settle() -> None:
        if answer.done():
            return
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)

    with contextlib.suppress(RuntimeError):  # the loop closed while the source was asked
        loop.call_soon_threadsafe(settle)
