"""Answers in time under more demand than there is capacity: admitted, not admitted, and bare."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import Row

from gateway_load.engines import MODEL, Pace
from gateway_load.processes import Process, client, gateway, simulated

OBJECTIVE = 1.0  # seconds to the first token
REPLICAS, SLOTS, TOKENS = 2, 16, 40
PACE = Pace(slots_bind=True, fixed=0.015, row=0.0005, prompt=0.001)
SHARE_PERCENT = 90
_SEED = 11
_ADMITTED, _UNBOUND, _BARE = "gateway", "gateway without admission", "replicas without a gateway"


@dataclass(frozen=True, slots=True)
class Span:
    """How long one point of the curve is watched."""

    warm: float
    seconds: float


def measure(scratch: Path, *, quick: bool) -> Iterator[Row]:
    """Find the capacity, then send once, twice and three times as much."""
    span = Span(3.0, 6.0) if quick else Span(6.0, 16.0)
    times = (3,) if quick else (1, 2, 3)
    with client() as load:
        capacity = _capacity(scratch / "capacity", load, span)
        subject = f"{REPLICAS} simulated replicas, {SLOTS} slots each"
        yield Row("saturated throughput with TTFT in time", subject, capacity, "1/s")
        curve: list[Row] = []
        for system in (_ADMITTED, _BARE) if quick else (_ADMITTED, _UNBOUND, _BARE):
            for factor in times:
                folder = scratch / f"{system}-{factor}".replace(" ", "-")
                seen = _point(folder, system, load, factor * capacity, span)
                good = seen["good"] / seen["seconds"]
                yield from _row(system, factor, 100 * good / capacity)
                curve += _details(system, factor, good, seen)
    yield from curve


def _row(system: str, factor: int, percent: float) -> Iterator[Row]:
    bar = SHARE_PERCENT if system == _ADMITTED and factor > 1 else None
    figure = f"goodput at {factor} x the capacity, of the capacity"
    yield Row(figure, system, percent, "%", bar, at_least=True)


def _details(system: str, factor: int, good: float, seen: dict[str, Any]) -> Iterator[Row]:
    yield Row(f"goodput at {factor} x", system, good, "1/s")
    yield Row(f"demand at {factor} x", system, seen["arrived"] / seen["seconds"], "1/s")
    refused = sum(seen["refused"].values()) / seen["seconds"]
    yield Row(f"turned away at {factor} x", system, refused, "1/s")
    yield Row(f"TTFT p50 of the answered at {factor} x", system, seen["p50"], "s")
    yield Row(f"TTFT p99 of the answered at {factor} x", system, seen["p99"], "s")


def _capacity(folder: Path, load: Process, span: Span) -> float:
    """Keep every slot taken and one request waiting for each replica; count the answers."""
    with simulated(folder, replicas=REPLICAS, slots=SLOTS, pace=PACE) as replicas:
        seen = load.ask(
            "closed_spread", ports=replicas.told["ports"], workers=REPLICAS * (SLOTS + 1),
            warm=2.0, seconds=span.seconds, model=MODEL, tokens=TOKENS, objective=OBJECTIVE,
        )  # fmt: skip
    return float(seen["good"] / seen["seconds"])


def _point(folder: Path, system: str, load: Process, rate: float, span: Span) -> dict[str, Any]:
    ask = {
        "rate": rate, "warm": span.warm, "seconds": span.seconds, "objective": OBJECTIVE,
        "tokens": TOKENS, "model": MODEL, "seed": _SEED,
    }  # fmt: skip
    with simulated(folder, replicas=REPLICAS, slots=SLOTS, pace=PACE) as replicas:
        if system == _BARE:
            return load.ask("poisson", ports=replicas.told["ports"], **ask)
        admits = system == _ADMITTED
        with gateway(folder, model=MODEL, objective=OBJECTIVE, admits=admits) as front:
            return load.ask("poisson", ports=[front.told["port"]], **ask)
