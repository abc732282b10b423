"""A gateway in the test's own process, and what it still holds once nobody asks it anything."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psutil

from inference.gateway.api import Surroundings, build_gateway
from inference.gateway.limits import GatewayLimits
from inference.gateway.routing.settings import RoutingSettings
from inference.gateway.server import serve
from inference.gateway.settings import GatewaySettings
from telemetry.clock import SystemClock
from telemetry.publish import Metrics
from telemetry.tracing import open_tracing

MODEL = "tiny"


@dataclass
class Front:
    """A running gateway."""

    url: str
    metrics: Metrics
    tasks: int  # of asyncio, when nobody had asked anything yet

    def total(self, name, **labels):
        """Add up a family's series that carry the labels."""
        wanted = labels.items()
        found = [one for one in self.metrics.samples(0.0) if one.name == name]
        return sum(one.value for one in found if wanted <= one.labels.items())

    def holds(self, ports: Iterable[int]) -> dict[str, float]:
        """Say what is under way: each is 0 where nothing is, but for sockets, which are pooled."""
        return {
            "in flight": self.total("warmfront_gateway_requests_in_flight"),
            "in line": self.total("warmfront_gateway_requests_held"),
            "tasks": max(0, len(asyncio.all_tasks()) - self.tasks),
            "sockets": sockets_to(ports),
        }


@asynccontextmanager
async def gateway(table, *, refresh_seconds=0.1, **limits) -> AsyncIterator[Front]:
    """Serve before a process table, with deadlines that a test can wait for."""
    metrics, tracing = Metrics(), open_tracing("gateway", instance="chaos")
    app = build_gateway(
        Surroundings(table, metrics, tracing, SystemClock()),
        models=[MODEL],
        settings=GatewaySettings(
            limits=GatewayLimits(**limits),
            routing=RoutingSettings(refresh_seconds=refresh_seconds),
        ),
    )
    try:
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            async with serve(app, listener, drain_seconds=1.0):
                await asyncio.sleep(0.3)  # until what it does beside requests has begun
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                yield Front(url, metrics, len(asyncio.all_tasks()))
    finally:
        tracing.close()


def sockets_to(ports: Iterable[int]) -> int:
    """Count this process's open connections to ports of this machine."""
    wanted = set(ports)
    ours = psutil.Process().net_connections(kind="tcp")
    return sum(bool(one.raddr) and one.raddr.port in wanted for one in ours)


async def eventually(what: str, holds: Callable[[], object], *, within: float = 10.0) -> None:
    """Ask until it is so; fail with what was seen last."""
    seen: object = None
    try:
        async with asyncio.timeout(within):
            while (seen := holds()) is not True:  # noqa: ASYNC110 - it watches what sets no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited {within:g} s in vain for {what}: {seen}") from None
