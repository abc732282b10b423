"""A replica whose answers a test chooses, behind a real HTTP server."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from aiohttp import web

from inference.errors import error_response
from telemetry.process_table import ProcessTable, ReplicaRecord

USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def chunk(**fields):
    """One event of a chat stream."""
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "tiny"}
    return b"data: " + json.dumps(body | fields).encode() + b"\n\n"


def delta(text, finish=None):
    return chunk(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}])


ROLE = chunk(
    choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
)
USAGE_CHUNK = chunk(choices=[], usage=USAGE)
DONE = b"data: [DONE]\n\n"
TIMINGS = json.dumps({"ttft": 0.002, "queue": 0.0005, "prefill": 0.0015, "decode": 0.0002})
STREAM = (ROLE, delta("Warm"), delta(" fr\u00f6nt"), delta("", finish="stop"))
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "tiny",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Warm front"},
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
}


async def begin_stream(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


async def answer(request, body):
    """Answer as a replica does: a short stream, or a whole completion."""
    if not body.get("stream"):
        return web.json_response(ANSWER, headers={"X-Warmfront-Timings": TIMINGS})
    response = await begin_stream(request)
    for event in STREAM:
        await response.write(event)
    if (body.get("stream_options") or {}).get("include_usage"):
        await response.write(USAGE_CHUNK)
    if request.headers.get("X-Warmfront-Timings"):
        await response.write(b": timings " + TIMINGS.encode() + b"\n\n")
    await response.write(DONE)
    return response


async def refuse(request, body):
    return error_response(503, "This replica is on standby.", kind="server_error")


async def vanish(request, body):
    """Cut the connection before a byte of the answer."""
    request.transport.abort()
    await asyncio.sleep(0)
    return web.Response()


async def hang(request, body):
    """Say nothing until cancelled."""
    await asyncio.Event().wait()


Behaviour = Callable[[web.Request, dict], Awaitable[web.StreamResponse]]


@dataclass
class FakeReplica:
    """A replica whose answers a test chooses; it keeps what it was asked."""

    record: ReplicaRecord
    table: ProcessTable
    behave: Behaviour
    requests: list[tuple[dict, dict]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    cancelled: int = 0
    runner: web.AppRunner | None = None

    async def handle(self, request):
        raw = await request.read()
        body = json.loads(raw)
        self.requests.append((dict(request.headers), body))
        self.bodies.append(raw)
        try:
            return await self.behave(request, body)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def move(self, state):
        self.record = replace(self.record, state=state, since=self.record.since + 1)
        self.table.put(self.record)

    async def stop(self):
        if self.runner is not None:
            await self.runner.cleanup()


async def eventually(holds, *, within=5.0):
    """Poll until `holds()`."""
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - it watches what sets no event
            await asyncio.sleep(0.005)


def ask(**fields):
    """Return the body of a chat request."""
    return {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]} | fields
