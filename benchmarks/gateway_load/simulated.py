"""Simulated replicas, as many as wanted in one process, that register as real ones do."""

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from gateway_load.engines import MODEL, PROMPT_TOKENS, Batched, Engine, Job, Pace, Paced
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable, ReplicaRecord

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(slots=True)
class Replica:
    """One replica: a port, a record, and an engine."""

    engine: Engine
    pace: Pace
    record: ReplicaRecord | None = None
    arrivals: int = 0
    open: set["Server"] = field(default_factory=set)

    def load(self) -> bytes:
        """Return what GET /load answers."""
        engine, id_ = self.engine, self.record.id if self.record else ""
        cost = {
            "fixed": self.pace.fixed,
            "decode_token": self.pace.row,
            "prefill_token": self.pace.prompt / PROMPT_TOKENS,
        }
        model = {
            "running": engine.running,
            "waiting": engine.waiting,
            "waiting_tokens": engine.waiting * PROMPT_TOKENS,
            "slots": engine.slots,
            "kv_usage": engine.running / engine.slots,
            "iteration": cost if self.pace.slots_bind else None,
            "context": 8192,
            "modalities": ["text"],
        }
        whole = {"id": id_, "state": "serving", "steps": engine.steps, "progress_age": 0.0}
        return json.dumps(whole | {"models": {MODEL: model}}).encode()


class Server(asyncio.Protocol):
    """One connection to a replica."""

    def __init__(self, replica: Replica) -> None:
        self.job: Job | None = None
        self._replica = replica
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def write(self, data: bytes) -> None:
        """Send bytes, unless the other side has gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the new connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP has no other
        self._transport = transport
        self._replica.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        """Free what the request of this connection held."""
        self._replica.open.discard(self)
        if self.job is not None:
            self.job.is_gone = True

    def data_received(self, data: bytes) -> None:
        """Read a request, once it is whole, and begin it."""
        now = time.monotonic()
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end]
        found = _LENGTH.search(head)
        length = int(found.group(1)) if found else 0
        body = self._buffer[end + 4 : end + 4 + length]
        if len(body) < length:
            return
        self._buffer = self._buffer[end + 4 + length :]
        if head.startswith(b"POST"):
            self._begin(head, json.loads(body), now)
        else:
            answer = self._replica.load()
            kind = b"Content-Type: application/json\r\nContent-Length: "
            self.write(b"HTTP/1.1 200 OK\r\n%b%d\r\n\r\n%b" % (kind, len(answer), answer))

    def _begin(self, head: bytes, body: dict[str, Any], now: float) -> None:
        self._replica.arrivals += 1
        self.job = Job(
            sink=self,
            arrived=now,
            tokens=int(body.get("max_tokens") or 16),
            streams=body.get("stream") is True,
            wants_usage=bool((body.get("stream_options") or {}).get("include_usage")),
            wants_timings=b"x-warmfront-timings: 1" in head.lower(),
        )
        self._replica.engine.take(self.job)


async def run(table: Path, *, replicas: int, slots: int, pace: Pace) -> None:
    """Serve until stdin ends; tell the ports, and then, whenever asked, what was counted."""
    made = [Replica(_engine(pace, slots), pace) for _ in range(replicas)]
    for number, one in enumerate(made):
        one.record = await _listen(one, number, slots)
        ProcessTable(table).put(one.record)
    _tell({"ports": [one.record.port for one in made if one.record]})
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        _tell(
            {
                "arrivals": [one.arrivals for one in made],
                "running": [one.engine.running for one in made],
                "waiting": [one.engine.waiting for one in made],
                "open": [len(one.open) for one in made],
            }
        )


def _engine(pace: Pace, slots: int) -> Engine:
    return Batched(pace, slots) if pace.slots_bind else Paced(pace, slots)


async def _listen(replica: Replica, number: int, slots: int) -> ReplicaRecord:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(replica), "127.0.0.1", 0, backlog=1024)
    own = psutil.Process()
    return ReplicaRecord(
        id=f"simulated-{number}", model=MODEL, state=ReplicaState.SERVING, pid=own.pid,
        pid_started=own.create_time(), host="127.0.0.1", port=server.sockets[0].getsockname()[1],
        slots=slots, since=1.0,
    )  # fmt: skip


def _tell(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    asyncio.run(
        run(
            Path(options["table"]),
            replicas=options["replicas"],
            slots=options["slots"],
            pace=Pace(**options["pace"]),
        )
    )
