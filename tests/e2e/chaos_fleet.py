"""Many short-lived replicas in the test's own process, over real sockets, that drain as real ones.

Draining: the record says so first; then newcomers are told 503 for as long as a gateway may not
have read it, and what is in flight ends; then the socket closes and the record goes.
"""

import asyncio
import itertools
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from aiohttp import web

from inference.errors import error_response
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ReplicaRecord
from tests.e2e.chaos_front import MODEL

_TOKEN_SECONDS = 0.004


class Table:
    """A process table that is no folder: what tests of one process need."""

    def __init__(self) -> None:
        self._records: dict[str, ReplicaRecord] = {}

    def records(self) -> list[ReplicaRecord]:
        return list(self._records.values())

    def put(self, record: ReplicaRecord) -> None:
        self._records[record.id] = record

    def remove(self, name: str) -> None:
        del self._records[name]


@dataclass
class Replica:
    """One replica: it gives a token every few milliseconds to whoever asks."""

    table: Table
    record: ReplicaRecord
    in_flight: int = 0
    answered: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    runner: web.AppRunner | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.record.state is not ReplicaState.SERVING:
            return error_response(503, "This replica is draining.", kind="server_error")
        self.in_flight += 1
        self.idle.clear()
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1
            self.answered += 1
            if not self.in_flight:
                self.idle.set()

    async def load(self, _request: web.Request) -> web.Response:
        model = {
            "running": self.in_flight, "waiting": 0, "waiting_tokens": 0, "kv_usage": 0.0,
            "slots": self.record.slots, "iteration": None, "context": 4096, "modalities": ["text"],
        }  # fmt: skip
        own = {"id": self.record.id, "state": self.record.state, "steps": self.answered}
        return web.json_response(own | {"progress_age": 0.0, "models": {MODEL: model}})

    def move(self, state: ReplicaState) -> None:
        self.record = replace(self.record, state=state, since=self.record.since + 1)
        self.table.put(self.record)

    async def drain(self, notice_seconds: float) -> None:
        """End as a real replica does; nobody who was taken in is let down."""
        self.move(ReplicaState.DRAINING)
        await asyncio.sleep(notice_seconds)
        if self.in_flight:
            await self.idle.wait()
        assert self.runner is not None
        await self.runner.cleanup()
        self.table.remove(self.record.id)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        tokens = body["max_tokens"]
        usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
        end = {"index": 0, "text": "", "finish_reason": "length"}
        if not body.get("stream"):
            await asyncio.sleep(tokens * _TOKEN_SECONDS)
            return web.json_response(_completion(choices=[end | {"text": "x"}], usage=usage))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(tokens):
            await asyncio.sleep(_TOKEN_SECONDS)
            await response.write(_event(choices=[end | {"text": "x", "finish_reason": None}]))
        await response.write(_event(choices=[end]))
        await response.write(_event(choices=[], usage=usage))
        await response.write(b"data: [DONE]\n\n")
        return response


class Fleet:
    """The replicas that serve now; scaling it down drains the oldest of them."""

    def __init__(self) -> None:
        self.table = Table()
        self.serving: list[Replica] = []
        self.gone: list[Replica] = []
        self.drained_at_work = 0  # replicas told to drain while they answered somebody
        self._numbers = itertools.count()

    async def start(self, count: int) -> list[Replica]:
        """Start so many more and return them."""
        started = [await self._start(next(self._numbers)) for _ in range(count)]
        self.serving += started
        return started

    async def scale_down(self, count: int, *, notice_seconds: float) -> None:
        """Drain so many and wait until they are gone."""
        leaving, self.serving = self.serving[:count], self.serving[count:]
        self.drained_at_work += sum(one.in_flight > 0 for one in leaving)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for one in leaving:
                group.create_task(one.drain(notice_seconds))
        self.gone += leaving

    async def _start(self, number: int) -> Replica:
        record = ReplicaRecord(
            id=f"r{number}", model=MODEL, state=ReplicaState.SERVING, pid=1, pid_started=0.0,
            host="127.0.0.1", port=0, slots=8, since=0.0,
        )  # fmt: skip
        one = Replica(self.table, record)
        app = web.Application()
        app.router.add_post("/v1/completions", one.handle)
        app.router.add_get("/load", one.load)
        one.runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await one.runner.setup()
        await web.TCPSite(one.runner, "127.0.0.1", 0).start()
        one.record = replace(record, port=one.runner.addresses[0][1])
        self.table.put(one.record)
        return one


@asynccontextmanager
async def fleet(count: int):
    """Run a fleet; at the end all of it stops."""
    own = Fleet()
    async with AsyncExitStack() as stack:
        await own.start(count)

        async def stop() -> None:
            for one in own.serving:
                assert one.runner is not None
                await one.runner.cleanup()

        stack.push_async_callback(stop)
        yield own


def _completion(**fields) -> dict:
    own = {"id": "c1", "object": "text_completion", "created": 1, "model": MODEL}
    return own | fields


def _event(**fields) -> bytes:
    return b"data: " + json.dumps(_completion(**fields)).encode() + b"\n\n"
