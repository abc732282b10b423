"""What every benchmark ends with: a table for people, or JSON for programs."""

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Row:
    """One figure; `bar` is what must hold (as a number, at most or at least), None informs."""

    figure: str
    subject: str
    value: float
    unit: str
    bar: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the figure clears its bar."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return the parser with the two options that every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a short run, for a first look")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def publish(rows: Sequence[Row], *, as_json: bool) -> int:
    """Print the rows; return 1 where a bar was missed."""
    if as_json:
        shown = [{**asdict(row), "met": row.met} for row in rows]
        for row in shown:
            del row["at_least"]
        print(json.dumps({"machine": machine(), "commit": commit(), "rows": shown}, indent=2))
    else:
        Console().print(_table(rows))
    return int(any(row.met is False for row in rows))


def machine() -> str:
    """Describe the machine in a line."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{psutil.cpu_count()} x {_processor()}, {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str:
    """Return the commit that is measured, marked where the tree differs from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title=f"{machine()} · {commit()}", title_justify="left")
    for heading in ("figure", "subject", "value", "bar", "met"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for row in rows:
        sign = ">=" if row.at_least else "<="
        bar = "" if row.bar is None else f"{sign} {row.bar:g} {row.unit}"
        met = {True: "yes", False: "NO", None: ""}[row.met]
        table.add_row(row.figure, row.subject, f"{row.value:.4g} {row.unit}", bar, met)
    return table


def fail(message: str) -> None:
    """End with a message for people."""
    print(message, file=sys.stderr)
    raise SystemExit(1)
