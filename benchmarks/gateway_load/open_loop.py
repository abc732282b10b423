"""An open loop: requests arrive by themselves, however long the answers to others take."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gateway_load.wire import LOST, Answer, Connection


def arrivals(rng: np.random.Generator, rate: float, seconds: float) -> Iterator[float]:
    """Yield moments of Poisson arrivals at a rate, for so many seconds."""
    at = rng.exponential(1 / rate)
    while at < seconds:
        yield float(at)
        at += rng.exponential(1 / rate)


class OpenLoop:
    """Requests that arrive by themselves."""

    def __init__(self, ports: Sequence[int], bodies: Sequence[bytes]) -> None:
        self._ports = ports
        self._bodies = bodies
        self._idle: dict[int, list[Connection]] = {port: [] for port in ports}
        self._tasks: set[asyncio.Task[None]] = set()
        self._judged: list[Answer] = []
        self._arrived = 0  # of those that count
        self._count = 0

    def arrive(self, at: float, *, counts: bool) -> None:
        """Send one request that was due at a moment, to the ports by turns."""
        self._arrived += counts
        port = self._ports[self._count % len(self._ports)]
        data = self._bodies[self._count % len(self._bodies)]
        self._count += 1
        task = asyncio.create_task(self._ask(port, data, at, counts=counts))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def cut(self) -> None:
        """Leave whatever is not answered yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for idle in self._idle.values():
            for one in idle:
                one.leave()

    def fields(self, objective: float) -> dict[str, Any]:
        """Return how those that count were answered."""
        firsts = [
            one.first - one.sent
            for one in self._judged
            if one.status == 200 and one.first is not None and not one.is_broken
        ]
        refused = Counter(one.status for one in self._judged if one.status not in (200, LOST))
        p50, p99 = np.quantile(firsts or [float("nan")], [0.5, 0.99])
        return {
            "arrived": self._arrived,
            "good": sum(first <= objective for first in firsts),
            "refused": refused,
            "broken": sum(one.is_broken for one in self._judged),
            "p50": float(p50),
            "p99": float(p99),
        }

    async def _ask(self, port: int, data: bytes, at: float, *, counts: bool) -> None:
        idle = self._idle[port]
        one = idle.pop() if idle else await Connection.open(port)
        pending = one.ask(data, sent=at)
        if counts:
            self._judged.append(one.answer)
        try:
            await pending
        except asyncio.CancelledError:
            one.leave()
            raise
        if one.is_open:
            idle.append(one)
