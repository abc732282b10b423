"""The gateway's process: composed as in the stack, and nothing else in it."""

import asyncio
import json
import resource
import socket
import sys
from pathlib import Path
from typing import Any

from inference.gateway.admission.settings import AdmissionSettings
from inference.gateway.api import Surroundings, build_gateway
from inference.gateway.server import serve
from inference.gateway.settings import GatewaySettings
from telemetry.clock import SystemClock
from telemetry.logs import configure_logs
from telemetry.process_table import ProcessTable
from telemetry.publish import Metrics
from telemetry.tracing import open_tracing


async def run(options: dict[str, Any]) -> None:
    """Serve until killed; each line on stdin is answered with the metrics page."""
    metrics = Metrics()
    tracing = open_tracing("warmfront", instance="benchmark")
    table = ProcessTable(Path(options["table"]))
    app = build_gateway(
        Surroundings(table, metrics, tracing, SystemClock()),
        models=[options["model"]],
        settings=GatewaySettings(
            admission=AdmissionSettings(
                is_on=options["admits"], ttft_objective_seconds=options["objective"]
            )
        ),
    )
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        async with serve(app, listener, drain_seconds=0.1):
            _tell({"port": listener.getsockname()[1]})
            while await loop.run_in_executor(None, sys.stdin.readline):
                body, _ = metrics.render("")
                _tell({"metrics": body.decode()})


def _tell(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    configure_logs(stream=sys.stderr)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(run(json.loads(sys.argv[1])))
