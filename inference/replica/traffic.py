"""The requests in flight, and whether more may come."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from inference.errors import ApiError
from inference.replica.lifecycle import Lifecycle
from telemetry.lifecycle import ReplicaState

_RETRY_SECONDS = 1


class Traffic:
    """Counts requests in flight; only a serving replica takes any."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count one request; ApiError 503 in every state but `serving`."""
        state = self._lifecycle.state
        if state is not ReplicaState.SERVING:
            raise ApiError(
                503,
                f"The replica is {state.value}, not serving; try another one.",
                kind="server_error",
                code="replica_not_serving",
                retry_after=_RETRY_SECONDS,
            )
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    @property
    def in_flight(self) -> int:
        """Requests that were admitted and are not over."""
        return self._in_flight

    async def idle(self) -> None:
        """Wait until no request is in flight."""
        await self._idle.wait()
