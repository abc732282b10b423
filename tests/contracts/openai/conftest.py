"""The gateway before a real replica of two tiny models, which is a process of its own."""

import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from inference.gateway.api import Surroundings, build_gateway
from inference.gateway.server import serve
from inference.gateway.settings import GatewaySettings
from telemetry.clock import SystemClock
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable
from telemetry.publish import Metrics
from telemetry.tracing import open_tracing
from tests.inference.conftest import write_checkpoint
from tests.inference.graphs import text_encoder

START_SECONDS = 60
MODELS = ("texts", "tiny")  # one that embeds, one that generates


@dataclass(frozen=True)
class Gateway:
    """A running gateway, and what it answered."""

    url: str  # the base URL of OpenAI's paths
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)  # by path and status


@pytest.fixture(scope="package")
def table(tmp_path_factory) -> Iterator[ProcessTable]:
    """The process table of a replica that serves."""
    folder = tmp_path_factory.mktemp("replica")
    key = folder / "key"
    key.write_text("k" * 32)
    write_checkpoint(folder / "models" / "tiny" / "1")
    text_encoder(folder / "models" / "texts" / "1")
    (folder / "models" / "texts" / "config.toml").write_text('kind = "embed"')
    table = ProcessTable(folder / "replicas")
    with subprocess.Popen(
        [
            sys.executable, "-m", "inference.replica", "--id", "r1",
            "--repository", folder / "models", "--table", folder / "replicas",
            "--admin-key-file", key, "--drain-seconds", "1", "--log-file", folder / "log",
        ]
    ) as process:  # fmt: skip
        try:
            _wait_for(table, process, folder / "log")
            yield table
        finally:
            process.terminate()


def _wait_for(table: ProcessTable, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not any(one.state is ReplicaState.SERVING for one in table.records()):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)


@pytest.fixture
async def start_gateway(table):
    """Starts a gateway before the replica, or before another table."""
    async with AsyncExitStack() as stack:

        async def start(*, source=table, key_file=None, settings=None) -> Gateway:
            running = _running(source, key_file, settings or GatewaySettings())
            return await stack.enter_async_context(running)

        yield start


@asynccontextmanager
async def _running(
    table: ProcessTable, key_file: Path | None, settings: GatewaySettings
) -> AsyncIterator[Gateway]:
    tracing = open_tracing("gateway", instance="test")
    given = Surroundings(table, Metrics(), tracing, SystemClock(), key_file=key_file)
    app = build_gateway(given, models=MODELS, settings=settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gateway = Gateway(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")

        async def note(request: web.Request, response: web.StreamResponse) -> None:
            gateway.answers[request.path.removeprefix("/v1"), response.status] += 1

        app.on_response_prepare.append(note)
        async with serve(app, listener, drain_seconds=1.0):
            yield gateway
    tracing.close()


@pytest.fixture
async def gateway(start_gateway) -> Gateway:
    return await start_gateway()
