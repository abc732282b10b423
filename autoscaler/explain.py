"""Explain: a decision from the ledger, told to a person."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from autoscaler.ledger import Entry

_LINES = (
    ("Demand", (
        ("demand", "now", "req/s"),
        ("backlog", "requests waiting", ""),
        ("forecast_soon", "forecast until a woken replica serves", "req/s"),
        ("forecast_later", "forecast until a started replica is ready", "req/s"),
        ("quantile", "quantile of the forecast", ""),
    )),
    ("One replica", (
        ("capacity", "sustains", "req/s"),
        ("utilisation", "share of it planned with", ""),
        ("per_replica", "is planned to take", "req/s"),
        ("lead_wake", "wakes within", "s"),
        ("lead_start", "starts within", "s"),
    )),
    ("Replicas", (
        ("forecast_serving", "serving for the forecast", ""),
        ("forecast_ready", "ready for the forecast", ""),
        ("guard", "serving for demand now", ""),
        ("wanted_serving", "wanted serving", ""),
        ("wanted_ready", "wanted ready", ""),
        ("held_serving", "serving after the hold", ""),
        ("held_ready", "ready after the hold", ""),
    )),
    ("Policy", (
        ("minimum", "serving at least", ""),
        ("maximum", "ready at most", ""),
        ("standby", "spares", ""),
        ("hold_seconds", "a want counts for", "s"),
    )),
)  # fmt: skip


def explain(entry: Entry) -> str:
    """Return one decision as a short text: what, why, and every number behind it."""
    lines = [
        f"{_clock_time(entry.at)}  {entry.model}  [{entry.reason}]",
        f"{entry.sentence[:1].upper()}{entry.sentence[1:]}",
    ]
    for title, rows in _LINES:
        lines += ["", title]
        lines += [f"  {label:<42} {_value(entry.numbers, *row)}" for label, row in _labelled(rows)]
    return "\n".join(lines)


def listing(entries: Iterable[Entry]) -> str:
    """Return decisions as a table, one line each."""
    lines = [f"{'time (UTC)':<20} {'serving':>9} {'standby':>9} {'req/s':>8}  reason"]
    lines += [_line(entry) for entry in entries]
    return "\n".join(lines)


def _line(entry: Entry) -> str:
    serving = f"{entry.fleet.get('serving', 0)} -> {entry.serving}"
    standby = f"{entry.fleet.get('standby', 0)} -> {entry.standby}"
    demand = _value(entry.numbers, "demand", "")
    time = _clock_time(entry.at).removesuffix(" UTC")
    return f"{time:<20} {serving:>9} {standby:>9} {demand:>8}  {entry.reason}"


def _labelled(
    rows: tuple[tuple[str, str, str], ...],
) -> Iterable[tuple[str, tuple[str, str]]]:
    return ((label, (name, unit)) for name, label, unit in rows)


def _value(numbers: Mapping[str, float], name: str, unit: str) -> str:
    if name not in numbers:
        return "unknown"
    return f"{numbers[name]:.4g} {unit}".strip()


def _clock_time(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
