"""Start one replica: `python -m inference.replica --id ... --model-dir ...`."""

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from inference.replica.replica import Replica
from inference.replica.settings import EngineSettings, ReplicaSettings
from telemetry.clock import SystemClock
from telemetry.lifecycle import ReplicaState
from telemetry.logs import configure_logs
from telemetry.tracing import Tracing, open_tracing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one replica until it is told to drain or fails; return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _run_with(options)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"inference.replica: {error}\n")
        return 2


def _run_with(options: argparse.Namespace) -> int:
    settings = _settings(options)
    with ExitStack() as stack:
        stream = sys.stderr
        if options.log_file is not None:
            stream = stack.enter_context(options.log_file.open("a", encoding="utf-8"))
        configure_logs(stream=stream)
        tracing = open_tracing(
            "warmfront-replica", otlp_endpoint=options.otlp_endpoint, instance=settings.id
        )
        stack.callback(tracing.close)
        return asyncio.run(_run(settings, tracing))


async def _run(settings: ReplicaSettings, tracing: Tracing) -> int:
    replica = Replica(settings, tracer=tracing.tracer, clock=SystemClock())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, replica.drain)
    return await replica.run()


def _settings(options: argparse.Namespace) -> ReplicaSettings:
    return ReplicaSettings(
        id=options.id,
        model_dir=options.model_dir,
        model_name=options.model_name,
        table=options.table,
        admin_key=options.admin_key_file.read_text(encoding="utf-8").strip(),
        host=options.host,
        port=options.port,
        state=ReplicaState(options.state),
        drain_seconds=options.drain_seconds,
        engine=EngineSettings(
            slots=options.slots,
            token_budget=max(options.token_budget, 2 * options.slots),
            max_waiting=options.max_waiting,
            min_iteration_seconds=options.min_iteration_seconds,
            threads=options.threads,
            kv_memory_bytes=options.kv_memory_mib * 2**20,
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference.replica", description=__doc__)
    add = parser.add_argument
    add("--id", required=True, help="name of this replica, unique in the process table")
    add("--model-dir", required=True, type=Path, help="folder in Hugging Face's format")
    add("--model-name", required=True, help="name that clients ask for")
    add("--table", required=True, type=Path, help="folder of the process table")
    add("--admin-key-file", required=True, type=Path, help="file with the key for /admin")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", default=0, type=_at_least(int, 0), help="port to listen on; 0 takes a free one")
    add("--state", default="serving", choices=("serving", "standby"), help="state once loaded")
    add("--slots", default=8, type=_at_least(int, 1), help="requests in one batch")
    add("--max-waiting", default=256, type=_at_least(int, 0), help="requests that may wait for it")
    add("--token-budget", default=256, type=_at_least(int, 1), help="tokens in one iteration")
    add("--threads", default=1, type=_at_least(int, 1), help="cores that an iteration uses")
    add(
        "--kv-memory-mib", default=1024, type=_at_least(int, 1), help="most memory of the KV cache"
    )
    add(
        "--min-iteration-seconds",
        default=0.0,
        type=_at_least(float, 0),
        help="shortest iteration, to stand for a larger model (simulated)",
    )
    add(
        "--drain-seconds",
        default=30.0,
        type=_at_least(float, 0),
        help="time for requests in flight when draining",
    )
    add("--log-file", type=Path, help="file to log to instead of stderr")
    add("--otlp-endpoint", help="collector of traces, such as http://127.0.0.1:4318")
    return parser


def _at_least(kind: type[int] | type[float], low: int) -> Callable[[str], float]:
    """Return a reader of numbers that are `low` or more."""

    def number(text: str) -> float:
        value = kind(text)
        if not value >= low:  # which NaN is not
            raise argparse.ArgumentTypeError(f"expected {low} or more, got {text}")
        return value

    return number


if __name__ == "__main__":
    status = main()
    if threading.active_count() > 1:
        # Python's own exit aborts where a library is at work in a daemon thread.
        os._exit(status)
    sys.exit(status)
