"""What the gateway adds to the time of streams, against calling the same replica directly."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from report import Row

from gateway_load.engines import MODEL, Pace
from gateway_load.processes import client, gateway, simulated

STREAMS = 50  # through the gateway, and as many directly at the same time
TOKENS = 30
FIRST, INTERVAL = 0.03, 0.05  # seconds to the first token of a stream, and between the others
P50_MS, P99_MS = 1.0, 5.0
_KINDS = {"first": "time to first token", "chunk": "time per later token", "whole": "stream's end"}


def measure(scratch: Path, *, quick: bool) -> Iterator[Row]:
    """Compare streams whose tokens come apart, then such as one batch makes: all at once."""
    seconds = 6.0 if quick else 20.0
    apart = Pace(first=FIRST, interval=INTERVAL)
    yield from _compared(scratch / "apart", apart, seconds, has_bars=True)
    if not quick:
        in_step = Pace(slots_bind=True, fixed=INTERVAL)
        yield from _compared(scratch / "in-step", in_step, seconds, has_bars=False)


def _compared(table: Path, pace: Pace, seconds: float, *, has_bars: bool) -> Iterator[Row]:
    with (
        simulated(table, replicas=1, slots=2 * STREAMS, pace=pace) as replicas,
        gateway(table, model=MODEL, objective=1.0) as front,
        client() as load,
    ):
        lasts = FIRST + (TOKENS - 1) * INTERVAL
        ports = {"direct": replicas.told["ports"][0], "through": front.told["port"]}
        ask = {"ports": ports, "streams": STREAMS, "tokens": TOKENS, "lasts": lasts}
        load.ask("side_by_side", **ask, seconds=0.5, model=MODEL)  # caches
        before = front.cpu_seconds()
        seen = load.ask("side_by_side", **ask, seconds=seconds, model=MODEL)
        cpu = front.cpu_seconds() - before
    how = "tokens apart" if has_bars else "tokens of all at once"
    yield from _rows(seen, f"{STREAMS} streams, {how}, simulated replica", has_bars=has_bars)
    yield from _cost(seen["through"], cpu, f"{STREAMS} streams, {how}")


def _rows(seen: dict[str, dict[str, Any]], subject: str, *, has_bars: bool) -> Iterator[Row]:
    direct, through = seen["direct"], seen["through"]
    yield Row("streams that failed", subject, direct["failed"] + through["failed"], "", 0)
    for kind, name in _KINDS.items():
        for level, bar in ((0.5, P50_MS), (0.99, P99_MS)):
            own, other = _quantile(through[kind], level), _quantile(direct[kind], level)
            figure = f"added to {name}, p{level * 100:g}"
            yield Row(figure, subject, 1e3 * (own - other), "ms", bar if has_bars else None)
    usual = _quantile(direct["first"], 0.5)
    for level in (0.5, 0.99):
        own = _quantile(through["first"], level) - usual
        figure = f"time to first token beyond the direct median, p{level * 100:g}"
        yield Row(figure, subject, 1e3 * own, "ms")
    noise = _quantile(direct["first"], 0.99) - usual
    yield Row("the same of direct streams: the machine's noise, p99", subject, 1e3 * noise, "ms")


def _quantile(seconds: Sequence[float], level: float) -> float:
    return float(np.quantile(seconds, level))


def _cost(through: dict[str, Any], cpu: float, subject: str) -> Iterator[Row]:
    """What the gateway computed for it."""
    streams = through["streams"]
    yield Row(
        f"CPU of the gateway per stream of {TOKENS} tokens", subject, 1e3 * cpu / streams, "ms"
    )
    yield Row("CPU of the gateway per token", subject, 1e6 * cpu / streams / TOKENS, "us")
