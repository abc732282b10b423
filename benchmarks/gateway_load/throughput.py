"""Requests per second of one core: the gateway and a peer, in front of the same replicas."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from report import Row

from gateway_load.engines import MODEL, Pace
from gateway_load.processes import BENCHMARKS, MissingError, Process, client, gateway, simulated

WORKERS = 64
TOKENS = 16
TIMES_AS_MANY = 5.0
_PACE = Pace(interval=0.002)  # a stream of 16 tokens takes 30 ms; whole answers come at once
_PEER = "LiteLLM proxy"


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of request."""

    name: str
    stream: bool


SHAPES = (Shape("unary", stream=False), Shape(f"streams of {TOKENS} tokens", stream=True))


def measure(scratch: Path, *, quick: bool, peer_python: str | None) -> Iterator[Row]:
    """Saturate each front by turns; the ratios come first."""
    with ExitStack() as stack:
        replicas = stack.enter_context(
            simulated(scratch / "table", replicas=2, slots=4 * WORKERS, pace=_PACE)
        )
        load = stack.enter_context(client())
        own = stack.enter_context(gateway(scratch / "table", model=MODEL, objective=1.0))
        fronts, missing = {"Warmfront gateway": own}, None
        try:
            peer = _peer(scratch, replicas.told["ports"][0], peer_python)
            name = f"{_PEER} {peer.told['version']}"
            fronts[name] = stack.enter_context(peer)
        except MissingError as error:
            missing = str(error)
        if missing:
            yield Row(f"not measured: {missing}", _PEER, float("nan"), "")
        rows: list[Row] = []
        for shape in SHAPES:
            found = {
                name: _Figures.of(front, load, shape, 2.0 if quick else 12.0)
                for name, front in fronts.items()
            }
            yield from _ratio(found, shape)
            for name, figures in found.items():
                rows += figures.rows(name, shape)
        yield from rows


@dataclass(frozen=True, slots=True)
class _Figures:
    """What one front did under one load."""

    answered: int
    failed: int
    cpu: float
    seconds: float

    @classmethod
    def of(cls, front: Process, load: Process, shape: Shape, seconds: float) -> "_Figures":
        ask = {
            "port": front.told["port"], "workers": WORKERS, "model": MODEL, "tokens": TOKENS,
            "stream": shape.stream,
        }  # fmt: skip
        load.ask("closed", **ask, seconds=1.0)
        before = front.cpu_seconds()
        seen = load.ask("closed", **ask, seconds=seconds)
        cpu = front.cpu_seconds() - before
        return cls(seen["answered"], seen["failed"], cpu, seen["seconds"])

    @property
    def per_core(self) -> float:
        """Requests per CPU second of the front."""
        return self.answered / self.cpu

    def rows(self, name: str, shape: Shape) -> Iterator[Row]:
        yield Row(f"requests per CPU second, {shape.name}", name, self.per_core, "1/s")
        yield Row(f"requests per second, {shape.name}", name, self.answered / self.seconds, "1/s")
        busy = 100 * self.cpu / self.seconds
        yield Row(f"share of a core used, {shape.name}", name, busy, "%")
        yield Row(f"requests that failed, {shape.name}", name, self.failed, "")


def _ratio(found: dict[str, _Figures], shape: Shape) -> Iterator[Row]:
    own, *others = found.values()
    for name, other in zip(list(found)[1:], others, strict=True):
        figure = f"requests per core, times as many, {shape.name}"
        ratio = own.per_core / other.per_core
        yield Row(figure, f"gateway / {name}", ratio, "x", TIMES_AS_MANY, at_least=True)


def _peer(scratch: Path, upstream: int, python: str | None) -> Process:
    script = str(BENCHMARKS / "peers" / "litellm_proxy.py")
    return Process(python or sys.executable, script, str(scratch), str(upstream), MODEL)
