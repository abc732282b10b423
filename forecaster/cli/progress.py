"""How far a long command is: a bar on a terminal's standard error, and nothing anywhere else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

OnProgress = Callable[[int, int], None]  # done, asked for


@contextmanager
def progress(label: str, errors: TextIO) -> Iterator[OnProgress]:
    """Offer a function to be told how much is done; the bar goes when all is."""
    if not errors.isatty():
        yield _untold
        return
    from rich.console import Console  # noqa: PLC0415 - only where there is a bar
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(file=errors), transient=True) as bar:
        task = bar.add_task(label, total=None)

        def told(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield told


def _untold(_done: int, _total: int) -> None:
    """Keep the count to oneself."""
