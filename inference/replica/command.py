"""The command line of one replica: options in, a replica that runs until its end out."""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from inference.models.precision import Lowering, Precision
from inference.models.repository import Repository
from inference.replica.process import age_seconds
from inference.replica.replica import Replica
from inference.replica.settings import (
    Batching,
    DeviceKind,
    EngineSettings,
    ReplicaSettings,
)
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
    replica = Replica(
        settings,
        tracer=tracing.tracer,
        clock=SystemClock(),
        is_exported=tracing.is_exported,
        age_seconds=age_seconds(),
        opened=_watch_for_garbage,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, replica.drain)
    return await replica.run()


def _watch_for_garbage() -> None:
    """Collect garbage from here on, and look for it only among what comes from here on.

    Libraries and models stay: going through them would hold up iterations for tens of
    milliseconds.
    """
    gc.freeze()
    gc.enable()


def _settings(options: argparse.Namespace) -> ReplicaSettings:
    return ReplicaSettings(
        id=options.id,
        model_dir=options.model_dir,
        model_name=options.model_name or _announced(options),
        repository=options.repository,
        load=_names(options),
        table=options.table,
        admin_key=options.admin_key_file.read_text(encoding="utf-8").strip(),
        host=options.host,
        port=options.port,
        state=ReplicaState(options.state),
        drain_seconds=options.drain_seconds,
        notice_seconds=options.notice_seconds,
        stall_seconds=options.stall_seconds,
        vllm_names=options.vllm_names,
        region=options.region,
        version=options.version,
        device_kind=None if options.device_kind is None else DeviceKind(options.device_kind),
        engine=EngineSettings(
            slots=options.slots,
            token_budget=options.token_budget,
            max_waiting=options.max_waiting,
            min_iteration_seconds=options.min_iteration_seconds,
            threads=options.threads,
            kv_memory_bytes=options.kv_memory_mib * 2**20,
            runtime=options.runtime,
            lowering=Lowering(options.lowering),
            precision=None if options.precision is None else Precision(options.precision),
            block_size=options.block_size,
            device=options.device,
            cache=options.engine_cache,
            instances=options.instances,
            policy=Batching(options.policy),
            max_batch=options.max_batch,
            max_queue_delay_seconds=options.max_queue_delay_ms / 1e3,
        ),
    )


def _names(options: argparse.Namespace) -> tuple[str, ...]:
    """Return the models to load, each of which the repository must have."""
    names = tuple(name for name in options.load.split(",") if name)
    if names and options.repository is not None:
        known = Repository(options.repository).names()
        for name in names:
            if name not in known:
                raise ValueError(f"--load: {options.repository} holds no model {name[:100]!r}")
    return names


def _announced(options: argparse.Namespace) -> str:
    """Return the name that a replica of a repository is known by: its first model's."""
    if options.repository is None:
        raise ValueError("--model-name: expected the name that clients ask for")
    names = _names(options) or Repository(options.repository).names()
    return next(iter(names), options.repository.name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference.replica", description="Start one replica."
    )
    add = parser.add_argument
    add("--id", required=True, help="name of this replica, unique in the process table")
    add("--model-dir", type=Path, help="folder of one model, in Hugging Face's format")
    add("--model-name", help="name that clients ask for; with --repository, the replica's own")
    add("--repository", type=Path, help="folder of models, <name>/<version>/")
    add("--load", default="", help="models of the repository to load, separated by commas")
    add("--table", required=True, type=Path, help="folder of the process table")
    add("--admin-key-file", required=True, type=Path, help="file with the key for /admin")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", default=0, type=_at_least(int, 0), help="port to listen on; 0 takes a free one")
    add("--state", default="serving", choices=("serving", "standby"), help="state once loaded")
    add("--region", default="", help="where it runs; gateways prefer replicas of their own")
    add("--version", default="", help="version of what it serves, for rollouts")
    add("--device-kind", choices=list(DeviceKind), help="what it computes on; by the runtime")
    _add_engine(add)
    _add_seconds(add)
    add("--vllm-names", action="store_true", help="serve /metrics/vllm, under vLLM's names")
    add("--log-file", type=Path, help="file to log to instead of stderr")
    add("--otlp-endpoint", help="collector of traces, such as http://127.0.0.1:4318")
    return parser


def _add_seconds(add: Callable[..., object]) -> None:
    """Add how long the replica has patience."""
    for name, default, text in (
        ("--drain-seconds", 30.0, "time for requests in flight when draining"),
        ("--notice-seconds", 0.5, "time that it refuses newcomers before it closes"),
        ("--stall-seconds", 20.0, "time without a step until /live says that it hangs"),
    ):
        add(name, default=default, type=_at_least(float, 0), help=text)


def _add_engine(add: Callable[..., object]) -> None:
    """Add what a model's own config.toml may say otherwise, and how all engines run."""
    usual, count = EngineSettings(), _at_least(int, 1)
    for name, default, text in (
        ("--slots", usual.slots, "requests in one batch"),
        ("--token-budget", usual.token_budget, "tokens in one iteration"),
        ("--threads", usual.threads, "cores that an iteration uses"),
        ("--kv-memory-mib", 1024, "most memory of one instance's KV cache"),
        ("--block-size", usual.block_size, "tokens per KV block, where it is paged"),
        ("--instances", usual.instances, "engines for each model"),
        ("--max-batch", usual.max_batch, "rows in one batch of a model that answers in one step"),
    ):
        add(name, default=default, type=count, help=text)
    add("--max-waiting", default=256, type=_at_least(int, 0), help="requests that may wait")
    add("--device", default=0, type=_at_least(int, 0), help="number of the GPU, where it is one")
    add("--engine-cache", type=Path, help="folder for compiled engines")
    add("--runtime", default=usual.runtime, help="what computes: onnx, or another one installed")
    add("--lowering", default=usual.lowering, choices=list(Lowering), help="form of attention")
    add("--precision", choices=list(Precision), help="number format of the weights")
    add("--policy", default=usual.policy, choices=list(Batching), help="when requests may join")
    add(
        "--max-queue-delay-ms",
        default=usual.max_queue_delay_seconds * 1e3,
        type=_at_least(float, 0),
        help="longest wait for a dynamic batch to fill",
    )
    add(
        "--min-iteration-seconds",
        default=0.0,
        type=_at_least(float, 0),
        help="shortest iteration, to stand for a larger model (simulated)",
    )


def _at_least(kind: type[int] | type[float], low: int) -> Callable[[str], float]:
    """Return a reader of numbers that are `low` or more."""

    def number(text: str) -> float:
        value = kind(text)
        if not value >= low:  # which NaN is not
            raise argparse.ArgumentTypeError(f"expected {low} or more, got {text}")
        return value

    return number
