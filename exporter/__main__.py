"""`python -m exporter`: the GPUs of this machine as Prometheus metrics, and nothing else."""

import argparse
import asyncio
import socket
import sys
from collections.abc import Sequence

from exporter.collect import Collector
from exporter.server import serve
from exporter.sources.choose import open_gpus
from exporter.sources.source import SourceError
from telemetry.clock import SystemClock


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve this machine's GPUs until interrupted; 1 where there is none to serve."""
    options = _parser().parse_args(arguments)
    try:
        source = open_gpus()
    except SourceError as error:
        sys.stderr.write(f"exporter: {error}\n")
        return 1
    collector = Collector(source, SystemClock(), cadence_seconds=options.cadence)
    try:
        asyncio.run(
            serve(collector, host=options.host, port=options.port, hostname=socket.gethostname())
        )
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        sys.stderr.write(f"exporter: cannot serve on {options.host}:{options.port}: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m exporter", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=9400, help="port to listen on")
    parser.add_argument(
        "--cadence", type=float, default=1.0, metavar="SECONDS", help="time between collections"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
