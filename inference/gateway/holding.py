"""Holding: while no replica serves, a bounded number of requests waits a bounded time."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from inference.gateway.errors import NoReplicaError
from inference.gateway.limits import GatewayLimits
from inference.gateway.meters import Meters
from inference.gateway.roster import Roster
from inference.gateway.timeline import Timeline
from telemetry.clock import Clock
from telemetry.process_table import ReplicaRecord


class WaitingRoom:
    """Finds each request a replica, at once or by holding it until one opens."""

    def __init__(
        self, roster: Roster, meters: Meters, *, limits: GatewayLimits, clock: Clock
    ) -> None:
        self._roster = roster
        self._meters = meters
        self._limits = limits
        self._clock = clock
        self._held: Counter[str] = Counter()

    async def find(self, model: str, timeline: Timeline) -> ReplicaRecord:
        """Return a replica that is open to work, or raise NoReplicaError."""
        record = self._roster.choose(model)
        if record is None:
            with self._place(model), self._timed(timeline):
                record = await self._hold(model, self._limits.hold_seconds - timeline.held_seconds)
        timeline.routed = self._clock.monotonic()
        return record

    async def _hold(self, model: str, seconds: float) -> ReplicaRecord:
        try:
            async with asyncio.timeout(seconds):
                return await self._roster.opening(model)
        except TimeoutError:
            raise self._refusal(
                f"No replica of model '{model}' became ready within "
                f"{self._limits.hold_seconds:g} s"
            ) from None

    @contextmanager
    def _place(self, model: str) -> Iterator[None]:
        if self._held[model] >= self._limits.max_held:
            raise self._refusal(
                f"No replica of model '{model}' is ready and all {self._limits.max_held} places "
                "to wait for one are taken"
            )
        self._held[model] += 1
        try:
            with self._meters.held(model):
                yield
        finally:
            self._held[model] -= 1

    @contextmanager
    def _timed(self, timeline: Timeline) -> Iterator[None]:
        begun = self._clock.monotonic()
        try:
            yield
        finally:
            timeline.held_seconds += self._clock.monotonic() - begun

    def _refusal(self, what: str) -> NoReplicaError:
        seconds = self._limits.retry_after_seconds
        return NoReplicaError(f"{what}; retry in {seconds:g} s.", retry_after=seconds)
