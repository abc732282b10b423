"""Results on a terminal, or as the plain text that a terminal without colours would show."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

_LINE = 96  # columns of what is to be read
_WIDE = 200  # columns of what is no terminal: wide enough that nothing is cut


@dataclass(frozen=True, slots=True)
class Page:
    """Markdown: laid out for a terminal, and as it is written for anything else."""

    text: str

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> RenderResult:
        if not console.is_terminal:
            yield Text(self.text.rstrip())
            return
        from rich.markdown import Markdown  # noqa: PLC0415 - parses Markdown, only where shown

        yield Markdown(self.text)


def console_on(out: TextIO) -> Console:
    """Return a console that takes names for what they are, and colours only for a terminal."""
    return Console(
        file=out,
        width=None if out.isatty() else _WIDE,
        markup=False,
        emoji=False,
        highlight=False,
    )


def plain_text(shown: Sequence[RenderableType]) -> str:
    """Return what is shown without a colour."""
    out = io.StringIO()
    console = Console(
        file=out, width=_WIDE, markup=False, emoji=False, highlight=False,
        force_terminal=False, color_system=None,
    )  # fmt: skip
    show(shown, console)
    return out.getvalue()


def show(shown: Sequence[RenderableType], console: Console) -> None:
    """Print the parts, a blank line between two of them."""
    for index, part in enumerate(shown):
        if index:
            console.print()
        is_text = isinstance(part, Text | Page)
        console.print(part, soft_wrap=is_text and not console.is_terminal)


def table(columns: Iterable[str], *, left: Iterable[str] = ()) -> Table:
    """Return an empty table of numbers, but for the columns that are words and stand `left`."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    words = set(left)
    for column in columns:
        made.add_column(column, justify="left" if column in words else "right", no_wrap=True)
    return made


def titled(title: str, body: RenderableType, note: str = "") -> Group:
    """Return a body with its title above, and what to know about it below."""
    parts = [Text(title, style="bold"), Text(), body]
    return Group(*parts, *([Constrain(Text(note, style="dim"), _LINE)] if note else []))
