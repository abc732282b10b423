"""What many open streams take of memory: all open at once, and each of them alive."""

from collections.abc import Iterator
from pathlib import Path

from report import Row

from gateway_load.engines import MODEL, Pace
from gateway_load.processes import client, gateway, simulated

STREAMS = 5_000
REPLICAS = 8
MOST_MIB = 500
INTERVAL = 3.0  # seconds between the tokens of a stream
MORE_EVENTS = 2


def measure(scratch: Path, *, quick: bool) -> Iterator[Row]:
    """Open the streams, let each have a few events more, and weigh the gateway."""
    streams = STREAMS // 5 if quick else STREAMS
    pace = Pace(first=0.0, interval=1.0 if quick else INTERVAL)
    with (
        simulated(scratch / "table", replicas=REPLICAS, slots=STREAMS, pace=pace) as replicas,
        gateway(scratch / "table", model=MODEL, objective=30.0) as front,
        client() as load,
    ):
        load.ask("hold", port=front.told["port"], streams=8, at_once=8, model=MODEL)
        load.ask("release")
        empty = front.pss()
        opened = load.ask(
            "hold", port=front.told["port"], streams=streams, at_once=64, model=MODEL
        )
        seen = load.ask("watch", events=MORE_EVENTS, seconds=60.0)
        full, upstream = front.pss(), sum(replicas.ask()["running"])
        load.ask("release")
    subject = f"{streams} streams, {REPLICAS} simulated replicas"
    yield Row(
        "streams that are open and were fed on", subject, seen["fed"], "", streams, at_least=True
    )
    yield Row("streams that run at the replicas", subject, upstream, "", streams, at_least=True)
    yield Row(
        "memory of the gateway (PSS)", subject, full / 2**20, "MiB", None if quick else MOST_MIB
    )
    yield Row("memory of the gateway without streams (PSS)", subject, empty / 2**20, "MiB")
    yield Row("memory per open stream", subject, (full - empty) / streams / 1024, "KiB")
    yield Row("time to open them", subject, opened["seconds"], "s")
