"""How fast a model runs here, in one precision or several."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.table import Table

from inference.models.checkpoint import load_weights
from inference.models.precision import Lowering, Precision
from inference.models.spec import load_spec
from inference.runtimes.choose import choose_runtime
from inference.runtimes.runtime import RuntimeSettings
from inference.runtimes.speed import Speed, measure_speed
from telemetry.clock import SystemClock
from warmfront.errors import WarmfrontError

_BATCHES = (1, 8, 32)
_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be timed; names are as typed, and checked here."""

    runtime: str
    lowering: str
    precisions: tuple[str | None, ...]  # None: as the runtime would
    threads: int
    prompt: int


def bench(folder: Path, wanted: Wanted, *, as_json: bool, out: Console) -> int:
    """Time a model in each precision and print what was found."""
    lowering = _word(Lowering, wanted.lowering)
    precisions = [None if one is None else _word(Precision, one) for one in wanted.precisions]
    speeds = {
        one or "default": _timed(folder, wanted, lowering=lowering, precision=one)
        for one in precisions
    }
    if as_json:
        rows = [{"precision": name, **asdict(speed)} for name, speed in speeds.items()]
        out.print_json(json.dumps(rows))
    else:
        out.print(_table(speeds))
        out.print(
            f"[dim]Tokens/s after prompts of {next(iter(speeds.values())).prompt} tokens; "
            f"{wanted.runtime}, {lowering}, {wanted.threads} CPU thread(s).[/dim]"
        )
    return 0


def _timed(
    folder: Path, wanted: Wanted, *, lowering: Lowering, precision: Precision | None
) -> Speed:
    spec = load_spec(folder)
    settings = RuntimeSettings(lowering=lowering, precision=precision, threads=wanted.threads)
    runtime = choose_runtime(wanted.runtime, settings)
    runtime.load(spec, load_weights(folder, spec))
    clock = SystemClock()
    return measure_speed(runtime, spec, prompt=wanted.prompt, batches=_BATCHES, clock=clock)


def _word(kind: type[_Word], text: str) -> _Word:
    try:
        return kind(text)
    except ValueError as error:
        raise WarmfrontError(f"expected one of {', '.join(kind)}, got {text!r}") from error


def _table(speeds: dict[str, Speed]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("precision")
    table.add_column("prefill", justify="right")
    for rows in _BATCHES:
        table.add_column(f"decode x {rows}", justify="right")
    for name, speed in speeds.items():
        decoded = [f"{rate:,.0f}" for rate in speed.decode.values()]
        table.add_row(name, f"{speed.prefill:,.0f}", *decoded)
    return table
