"""Making a model smaller at the terminal: progress, then a table of what it gained and cost."""

import json
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from inference.compression.compress import Change, Job, compress
from inference.compression.report import Report
from telemetry.clock import SystemClock
from warmfront.models.sizes import bytes_for_people

_ZEROS = (
    "Zeros save nothing by themselves: dense kernels run as fast, and the file is as large. "
    "They pay where a runtime has sparse kernels."
)


def make_smaller(job: Job, change: Change, *, as_json: bool, out: Console) -> int:
    """Do a job, and print its report."""
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
    errors = Console(stderr=True)
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task(change.method, total=None)

        def progress(what: str, share: float) -> None:
            bar.update(task, description=what, completed=share, total=1.0 if share else None)

        report = compress(job, change, clock=SystemClock(), progress=progress)
    if as_json:
        out.print_json(json.dumps(report.as_json()))
        return 0
    out.print(_table(report))
    for note in _notes(report):
        out.print(note)
    out.print(Text(f"written to {job.target}"), soft_wrap=True)
    return 0


def _table(report: Report) -> Table:
    before, after = report.before, report.after
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(report.method)
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right")
    table.add_row("run in", before.precision, after.precision, "")
    sizes = bytes_for_people(before.size_bytes), bytes_for_people(after.size_bytes)
    table.add_row("size", *sizes, _change(report.size_ratio))
    speeds = _rate(before.tokens_per_second), _rate(after.tokens_per_second)
    table.add_row("tokens/s", *speeds, _change(report.speed_ratio))
    surprises = f"{before.perplexity:.3f}", f"{after.perplexity:.3f}"
    table.add_row("perplexity", *surprises, f"{report.loss:+.2%}")
    return table


def _notes(report: Report) -> Iterator[str]:
    yield (
        f"[dim]Perplexity over {report.judged_tokens} held-out tokens; tokens/s of 8 sequences "
        "on one CPU thread.[/dim]"
    )
    if report.after.tokens_per_second is None:
        yield (
            f"[dim]No tokens/s: this CPU only imitates {report.after.precision}, a GPU has it."
            "[/dim]"
        )
    if "zeros" in report.facts:
        yield f"{report.facts['zeros']:.1%} of the matrices are zeros. {_ZEROS}"
    if report.is_text_foreign:
        yield (
            "[yellow]The model foresees this text worse than even guessing: judge it by text "
            "like what it is used for.[/yellow]"
        )


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _change(ratio: float | None) -> str:
    return "-" if ratio is None else f"x {ratio:.2f}"
