"""The terminal view: one snapshot of the console, drawn in text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dashboards.console.sections import (
    Decision,
    Demand,
    Gpu,
    Latency,
    Outlook,
    Percentiles,
    Replicas,
    Traffic,
    Unavailable,
)
from dashboards.console.snapshot import Snapshot
from telemetry.lifecycle import ReplicaState

_T = TypeVar("_T")
_BARS = "▁▂▃▄▅▆▇█"
_LINE = 40  # characters of a sparkline
_STYLES: Mapping[str, str] = {
    ReplicaState.SERVING: "green",
    ReplicaState.STANDBY: "cyan",
    ReplicaState.STARTING: "yellow",
    ReplicaState.DRAINING: "magenta",
    ReplicaState.FAILED: "red",
}


def view(snapshot: Snapshot, *, width: int = 100) -> RenderableType:
    """Draw demand against forecast, replicas, latency, devices and the last decision."""
    rows = Table.grid(padding=(0, 2), expand=True)
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(ratio=1)
    for label, content in _rows(snapshot, line=max(10, min(_LINE, width - 60))):
        rows.add_row(label, content)
    return Panel(Group(rows, *_footer(snapshot)), title=_title(snapshot), title_align="left")


def addresses(snapshot_addresses: Mapping[str, str]) -> Text:
    """Name what listens where, on one line."""
    parts = [f"{name} {url}" for name, url in snapshot_addresses.items()]
    return Text("   ".join(parts), style="dim")


def _title(snapshot: Snapshot) -> Text:
    title = Text.assemble(("Warmfront", "bold"), f" · {snapshot.settings.model}")
    if snapshot.settings.compression > 1:
        title.append(f" · time runs x{snapshot.settings.compression:.0f}", style="yellow")
    return title


def _rows(snapshot: Snapshot, *, line: int) -> Iterator[tuple[str, RenderableType]]:
    yield "Demand", _or_why(snapshot.demand, lambda demand: _demand(demand, line))
    yield "Forecast", _forecast(snapshot.forecast, line)
    yield "Replicas", _or_why(snapshot.replicas, _replicas)
    yield "Latency", _or_why(snapshot.latency, _latency)
    yield "Traffic", _or_why(snapshot.traffic, _traffic)
    yield "GPUs", _or_why(snapshot.gpus, _gpus)
    yield "Decision", _or_why(snapshot.decisions, _decision)


def _or_why(section: _T | Unavailable, draw: Callable[[_T], RenderableType]) -> RenderableType:
    """Draw a section, or say why it cannot be."""
    if isinstance(section, Unavailable):
        return Text(f"unavailable: {section.unavailable}", style="red")
    return draw(section)


def _demand(demand: Demand, line: int) -> Text:
    if demand.now is None:
        return Text("no requests counted yet", style="dim")
    text = Text(sparkline(demand.rate, line), style="blue")
    text.append(f"  {demand.now:.1f} req/s", style="bold default")
    if demand.expected_now is not None:
        text.append(f"   forecast {demand.expected_now:.1f}", style="default")
        if demand.low_now is not None and demand.high_now is not None:
            text.append(f" ({demand.low_now:.1f} to {demand.high_now:.1f})", style="dim")
    return text


def _forecast(outlook: Outlook | Unavailable | None, line: int) -> Text:
    if isinstance(outlook, Unavailable):
        return Text(f"unavailable: {outlook.unavailable}", style="red")
    if outlook is None:
        return Text("none yet: a few steps of demand must pass first", style="dim")
    high = [value for value in outlook.band.high if value is not None]
    text = Text(sparkline(outlook.band.middle, line), style="cyan")
    reach = outlook.step * len(outlook.times)
    if high:
        text.append(f"  up to {max(high):.1f} req/s", style="default")
    text.append(f" in the next {reach:.0f} s", style="dim")
    return text


def _replicas(replicas: Replicas) -> Text:
    text = Text()
    for state in ReplicaState:
        count = replicas.now.get(state, 0)
        if count or state is ReplicaState.SERVING:
            text.append(f"{'●' * count or '○'} {count} {state}   ", _STYLES.get(state, "dim"))
    if replicas.wanted_now:
        wanted = ", ".join(f"{count} {tier}" for tier, count in replicas.wanted_now.items())
        text.append(f"wanted: {wanted}", style="dim")
    return text


def _latency(latency: Latency) -> Text:
    return Text("   ").join(
        [_percentiles("TTFT", latency.ttft), _percentiles("TPOT", latency.tpot)]
    )


def _percentiles(name: str, percentiles: Percentiles) -> Text:
    shown = f"p50 {_seconds(percentiles.p50_now)}  p95 {_seconds(percentiles.p95_now)}"
    return Text.assemble((f"{name} ", "dim"), shown)


def _traffic(traffic: Traffic) -> Text:
    shown = [
        f"{_number(traffic.output_tokens_per_second_now)} tokens/s",
        f"{_number(traffic.in_flight_now)} in flight",
        f"{_number(traffic.held_now)} held",
    ]
    return Text("   ".join(shown))


def _gpus(gpus: Sequence[Gpu]) -> Text:
    if not gpus:
        return Text("none reported yet", style="dim")
    text = Text()
    for gpu in gpus:
        used = "-" if gpu.utilization_ratio is None else f"{gpu.utilization_ratio:.0%}"
        watts = "-" if gpu.power_watts is None else f"{gpu.power_watts:.0f} W"
        text.append(f"{gpu.gpu}: {used} {watts}   ")
    if any(gpu.simulated for gpu in gpus):
        text.append("simulated", style="yellow")
    return text


def _decision(decisions: Sequence[Decision]) -> Text:
    if not decisions:
        return Text("none yet", style="dim")
    last = decisions[0]
    return Text.assemble((f"{last.reason}  ", "bold"), last.sentence)


def _footer(snapshot: Snapshot) -> Iterator[RenderableType]:
    for note in snapshot.settings.notes:
        yield Text(note, style="yellow")
    for problem in snapshot.problems:
        yield Text(problem, style="red")
    yield Text()
    yield addresses(snapshot.settings.addresses)


def sparkline(values: Sequence[float | None], width: int) -> str:
    """Draw the last `width` values as bars over zero; a gap is a blank."""
    shown = list(values)[-width:]
    highest = max((value for value in shown if value is not None), default=0.0)
    return "".join(" " if value is None else _bar(value, highest) for value in shown)


def _bar(value: float, highest: float) -> str:
    if highest <= 0:
        return _BARS[0]
    return _BARS[min(int(value / highest * len(_BARS)), len(_BARS) - 1)]


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
