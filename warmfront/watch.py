"""Watching a running stack: the live view on a terminal, plain lines elsewhere."""

import asyncio
import contextlib
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from rich.console import Console as Terminal
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dashboards.console.console import ConsoleError
from dashboards.console.sections import Unavailable
from dashboards.console.snapshot import Snapshot
from warmfront.stack import Stack
from warmfront.terminal import view

_REFRESH_SECONDS = 0.5
_PLAIN_PARTS = 10  # plain progress is told in so many lines


@dataclass(slots=True)
class Progress:
    """How far a piece of work has come."""

    label: str
    total: int
    done: int = 0

    def bar(self) -> RenderableType:
        """Draw it."""
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(no_wrap=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True)
        bar = ProgressBar(total=max(self.total, 1), completed=self.done)
        row.add_row(self.label, bar, f"{self.done}/{self.total} requests")
        return row


@contextlib.asynccontextmanager
async def watch(
    stack: Stack, terminal: Terminal, *, plain: bool, progress: Progress | None = None
) -> AsyncIterator[None]:
    """Show the stack for as long as the body runs."""
    show = _lines if plain or not terminal.is_terminal else _live
    async with asyncio.TaskGroup() as group:
        shown = group.create_task(show(stack, terminal, progress))
        yield
        shown.cancel()


async def _live(stack: Stack, terminal: Terminal, progress: Progress | None) -> None:
    """Redraw the view a few times a second; the last one stays on the screen."""
    with _unechoed(), Live(console=terminal, auto_refresh=False, transient=False) as live:
        try:
            while True:
                live.update(await _frame(stack, terminal.width, progress), refresh=True)
                await asyncio.sleep(_REFRESH_SECONDS)
        finally:
            if progress is not None:
                live.update(progress.bar(), refresh=True)


@contextlib.contextmanager
def _unechoed() -> Iterator[None]:
    """Keep what is typed, Ctrl-C included, from being written into the view."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


async def _frame(stack: Stack, width: int, progress: Progress | None) -> RenderableType:
    try:
        drawn: RenderableType = view(await stack.console.snapshot(), width=width)
    except ConsoleError as error:
        drawn = Text(str(error), style="red")
    return drawn if progress is None else Group(drawn, progress.bar())


async def _lines(stack: Stack, terminal: Terminal, progress: Progress | None) -> None:
    """Print each new decision once, and progress now and then."""
    last, told = "", 0
    while True:
        with contextlib.suppress(ConsoleError):
            latest = _latest_decision(await stack.console.snapshot())
            if latest and latest != last:
                terminal.print(latest, highlight=False)
                last = latest
        if progress is not None and progress.done >= told + progress.total / _PLAIN_PARTS:
            told = progress.done
            terminal.print(f"{progress.label}: {told}/{progress.total} requests sent")
        await asyncio.sleep(_REFRESH_SECONDS)


def _latest_decision(snapshot: Snapshot) -> str:
    if isinstance(snapshot.decisions, Unavailable) or not snapshot.decisions:
        return ""
    newest = snapshot.decisions[0]
    return f"{newest.reason}: {newest.serving} serving, {newest.standby} on standby"
