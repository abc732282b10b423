"""A real replica, served in this process on a port of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from inference.replica.replica import Replica
from inference.replica.settings import EngineSettings, ReplicaSettings
from telemetry.clock import Clock, SystemClock
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable, ReplicaRecord
from telemetry.tracing import open_tracing

DEADLINE = 15.0
ADMIN_KEY = "the-admin-key"


@dataclass(slots=True)
class Running:
    """A replica under test, and how to talk to it."""

    replica: Replica
    table: ProcessTable
    ended: "asyncio.Task[int]"
    http: aiohttp.ClientSession
    spans: InMemorySpanExporter

    @property
    def record(self) -> ReplicaRecord | None:
        return next(iter(self.table.records()), None)

    async def reach(self, *states: ReplicaState) -> ReplicaRecord:
        return await reached(self.table, *states)

    async def get(self, path: str) -> Any:
        async with self.http.get(path) as answer:
            return answer.status, await answer.json()

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any, Any]:
        async with self.http.post(path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(), answer.headers

    async def complete(self, **fields: object) -> dict[str, Any]:
        status, body, _ = await self.post("/v1/completions", completion(**fields))
        assert status == 200, body
        return body

    async def move(self, state: str, key: str = ADMIN_KEY, **more: Any) -> tuple[int, Any]:
        return await self.order("/admin/lifecycle", {"state": state} | more, key)

    async def order(self, path: str, body: Any = None, key: str = ADMIN_KEY) -> tuple[int, Any]:
        status, body, _ = await self.post(path, body or {}, Authorization=f"Bearer {key}")
        return status, body

    async def metrics(self) -> dict[str, float]:
        """Samples by name and labels, without those of the replica itself."""
        async with self.http.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return {
            line.rsplit(" ", 1)[0].replace('{model="tiny",replica="r1"}', ""): float(
                line.rsplit(" ", 1)[1]
            )
            for line in lines
            if not line.startswith("#")
        }

    async def until(self, name: str, wanted: Callable[[float], bool]) -> None:
        """Wait until a metric has a wanted value."""
        async with asyncio.timeout(DEADLINE):
            while not wanted((await self.metrics())[f"warmfront_replica_{name}"]):  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def until_idle(self) -> None:
        """Wait until no request holds KV blocks."""
        await self.until("kv_usage_ratio", lambda usage: usage == 0)

    async def until_busy(self) -> None:
        """Wait until a request holds KV blocks."""
        await self.until("kv_usage_ratio", lambda usage: usage > 0)


async def reached(table: ProcessTable, *states: ReplicaState) -> ReplicaRecord:
    """Wait until the one record of the table shows one of the states."""
    async with asyncio.timeout(DEADLINE):
        while True:
            for record in table.records():
                if record.state in states:
                    return record
            await asyncio.sleep(0.002)


def completion(**fields: object) -> dict[str, object]:
    body = {"model": "tiny", "prompt": "once upon", "max_tokens": 8, "temperature": 0}
    return body | fields


@asynccontextmanager
async def started(
    folder: Path,
    model: Path | None,
    *,
    repository: Path | None = None,
    load: tuple[str, ...] = (),
    state: ReplicaState = ReplicaState.SERVING,
    drain_seconds: float = 5.0,
    notice_seconds: float = 0.0,
    clock: Clock | None = None,
    reach: tuple[ReplicaState, ...] | None = None,
    told: dict[str, Any] | None = None,
    **engine: Any,
) -> AsyncIterator[Running]:
    settings = ReplicaSettings(
        id="r1",
        model_dir=model,
        model_name="tiny",
        repository=repository,
        load=load,
        table=folder / "table",
        admin_key=ADMIN_KEY,
        state=state,
        drain_seconds=drain_seconds,
        notice_seconds=notice_seconds,
        **(told or {}),
        engine=EngineSettings(**engine),
    )
    spans = InMemorySpanExporter()
    tracing = open_tracing("replica", instance="r1", exporter=spans)
    replica = Replica(settings, tracer=tracing.tracer, clock=clock or SystemClock())
    ended = asyncio.create_task(replica.run())
    table = ProcessTable(settings.table)
    record = await reached(table, *(reach or (state, ReplicaState.FAILED)))
    async with aiohttp.ClientSession(record.url, raise_for_status=False) as session:
        try:
            yield Running(replica, table, ended, session, spans)
        finally:
            replica.drain()
            async with asyncio.timeout(DEADLINE):
                await ended
            tracing.close()


@pytest.fixture
def start(tmp_path: Path, checkpoint: Path) -> Callable[..., AbstractAsyncContextManager[Running]]:
    """Starts a replica of the tiny model, or of another: `start(model=..., slots=...)`."""

    def begin(model: Path = checkpoint, **options: Any) -> AbstractAsyncContextManager[Running]:
        return started(tmp_path, None if "repository" in options else model, **options)

    return begin


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path):
    """One replica for all tests of a module that leave it as they found it."""
    async with started(tmp_path_factory.mktemp("replica"), checkpoint) as one:
        yield one
