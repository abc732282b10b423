"""A gateway in front of as many fake replicas as a test wants, all over real sockets."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields, replace

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from inference.gateway.admission.settings import AdmissionSettings
from inference.gateway.api import Surroundings, build_gateway
from inference.gateway.coalescing.settings import CoalescingSettings
from inference.gateway.limits import GatewayLimits
from inference.gateway.objectives import Objective, Objectives
from inference.gateway.routing.settings import RoutingSettings
from inference.gateway.server import serve
from inference.gateway.settings import GatewaySettings
from telemetry.clock import SystemClock
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable, ReplicaRecord
from telemetry.publish import Metrics
from telemetry.tracing import open_tracing
from tests.inference.gateway.fake_replica import FakeReplica, answer, eventually


class CountedTable:
    """A process table, and how often it was read."""

    def __init__(self, table):
        self.table = table
        self.reads = 0

    def records(self):
        self.reads += 1
        return self.table.records()


@dataclass
class Gateway:
    """A running gateway and what it tells about itself."""

    url: str
    metrics: Metrics
    spans: InMemorySpanExporter
    table: CountedTable

    async def refreshed(self):
        """Wait until the gateway has taken in the table as it is now."""
        before = self.table.reads
        await eventually(lambda: self.table.reads >= before + 2)

    def value(self, name, **labels):
        """Add up the series that carry the labels, or return None where there is none."""
        found = [
            one.value
            for one in self.metrics.samples(0.0)
            if one.name == name and labels.items() <= one.labels.items()
        ]
        return sum(found) if found else None

    @property
    def requests(self):
        """The spans of whole requests, in the order they ended."""
        return [one for one in self.spans.get_finished_spans() if one.kind is SpanKind.SERVER]

    async def until(self, name, value, **labels):
        """Wait until one series has a value."""
        await eventually(lambda: self.value(name, **labels) == value)


def settings(*, ttft_objective_seconds=1.0, **options):
    """Return settings by their own names alone, whichever part they belong to."""
    objective = Objective(ttft_seconds=ttft_objective_seconds)
    parts = {
        "limits": GatewayLimits,
        "admission": AdmissionSettings,
        "routing": RoutingSettings,
        "coalescing": CoalescingSettings,
    }
    made = {}
    for part, kind in parts.items():
        names = {field.name for field in fields(kind)} & options.keys()
        made[part] = kind(**{name: options.pop(name) for name in names})
    return GatewaySettings(
        objectives=Objectives(objective, objective, objective), **made, **options
    )


@asynccontextmanager
async def served(app, *, drain_seconds):
    """Serve on a free port and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with serve(app, listener, drain_seconds=drain_seconds):
            yield listener.getsockname()[1]


@pytest.fixture
def table(tmp_path):
    return ProcessTable(tmp_path / "replicas")


@pytest.fixture
async def start_replica(table) -> AsyncIterator[Callable[..., Awaitable[FakeReplica]]]:
    async with AsyncExitStack() as stack:

        async def start(
            id_="r1",
            *,
            behave=answer,
            state=ReplicaState.SERVING,
            model="tiny",
            slots=8,
            port=0,
            **fields,
        ):
            record = ReplicaRecord(
                id=id_, model=model, state=state, pid=1, pid_started=0.0,
                host="127.0.0.1", port=0, slots=slots, since=0.0, **fields,
            )  # fmt: skip
            fake = FakeReplica(record, table, behave)
            app = web.Application()
            app.router.add_post("/v1/chat/completions", fake.handle)
            app.router.add_post("/v1/completions", fake.handle)
            runner = web.AppRunner(
                app, handler_cancellation=True, shutdown_timeout=0.05, access_log=None
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", port).start()
            fake.runner = runner
            fake.record = replace(record, port=runner.addresses[0][1])
            table.put(fake.record)
            return fake

        yield start


@pytest.fixture
async def start_gateway(table) -> AsyncIterator[Callable[..., Awaitable[Gateway]]]:
    async with AsyncExitStack() as stack:

        async def start(
            *,
            models=("tiny",),
            drain_seconds=0.1,
            source=table,
            admin_key=None,
            key_file=None,
            **options,
        ):
            metrics, spans = Metrics(), InMemorySpanExporter()
            counted = CountedTable(source)
            tracing = open_tracing("gateway", instance="test", exporter=spans)
            stack.callback(tracing.close)
            app = build_gateway(
                Surroundings(
                    counted,
                    metrics,
                    tracing,
                    SystemClock(),
                    key_file=key_file,
                    admin_key=admin_key,
                    seed=1,
                ),
                models=models,
                settings=settings(**{"refresh_seconds": 0.01} | options),
            )
            port = await stack.enter_async_context(served(app, drain_seconds=drain_seconds))
            return Gateway(f"http://127.0.0.1:{port}", metrics, spans, counted)

        yield start


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
