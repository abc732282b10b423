"""Real replica processes to be killed, stopped and slowed, and what each still holds."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable, ReplicaRecord
from tests.e2e.chaos_front import MODEL

_SAMPLE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


@dataclass
class Replicas:
    """A few replicas of one model in processes of their own."""

    folder: Path
    model: Path
    table: ProcessTable
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start a replica; it serves a second or two later."""
        self.processes[name] = subprocess.Popen(
            [
                sys.executable, "-m", "inference.replica", "--id", name,
                "--model-dir", self.model, "--model-name", MODEL, "--slots", "4",
                "--table", self.folder / "replicas", "--admin-key-file", self.folder / "key",
                "--min-iteration-seconds", "0.005", "--log-file", self.folder / f"{name}.log",
            ]
        )  # fmt: skip

    def record(self, name: str) -> ReplicaRecord | None:
        """Return a replica's record if its present process has written it."""
        own = [one for one in self.table.records() if one.id == name]
        return own[0] if own and own[0].pid == self.processes[name].pid else None

    def is_serving(self, name: str) -> bool:
        record = self.record(name)
        return record is not None and record.state is ReplicaState.SERVING

    def are_serving(self) -> bool:
        return all(self.is_serving(name) for name in self.processes)

    def ports(self) -> list[int]:
        return [one.port for one in self.table.records()]

    def signal(self, name: str, number: int) -> None:
        os.kill(self.processes[name].pid, number)

    def kill(self, name: str) -> None:
        """Kill a replica as a machine that loses power does."""
        self.processes[name].kill()
        self.processes[name].wait()

    async def drain(self, name: str) -> None:
        """Tell a replica to end, as an autoscaler does, and wait until it has."""
        self.processes[name].terminate()
        assert await asyncio.to_thread(self.processes[name].wait, 20) == 0

    async def flicker(self, name: str, *, seconds: float) -> None:
        """Stop and go on by turns: the replica is many times slower than it was."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self.stopped(name):
                await asyncio.sleep(0.08)
            await asyncio.sleep(0.02)

    @contextmanager
    def stopped(self, name: str):
        """Have a replica hang while entered: its sockets stay open."""
        self.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(name, signal.SIGCONT)

    def held(self) -> dict[str, float]:
        """Add up what the replicas hold: nothing, once everybody was answered or has left."""
        pages = [_page(record.url) for record in self.table.records()]
        return {
            "running": _sum(pages, "warmfront_replica_requests_running"),
            "waiting": _sum(pages, "warmfront_replica_requests_waiting"),
            "KV blocks": _sum(pages, "warmfront_replica_kv_blocks", 'state="used"'),
        }

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


def _page(url: str) -> str:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 - our own
        return answer.read().decode()


def _sum(pages: list[str], name: str, label: str = "") -> float:
    found = [
        float(value)
        for page in pages
        for own, labels, value in _SAMPLE.findall(page)
        if own == name and label in labels
    ]
    assert len(found) == len(pages), f"not every page has one {name}"
    return sum(found)
