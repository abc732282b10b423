"""The decisions of the past: what the ledger holds, for the console and for the terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console

from autoscaler.explain import explain, listing
from autoscaler.ledger import Entry, LedgerError, read_ledger
from warmfront.config import Config
from warmfront.errors import WarmfrontError
from warmfront.state_dir import StateDir


def changes(entries: Iterable[Entry]) -> list[Entry]:
    """Keep the entries that decided something else than the one before; order is kept."""
    kept: list[Entry] = []
    for entry in entries:
        if not kept or _gist(entry) != _gist(kept[-1]):
            kept.append(entry)
    return kept


def _gist(entry: Entry) -> tuple[int, int, str]:
    return entry.serving, entry.standby, entry.reason


def show_ledger(config: Config, *, last: int, out: Console) -> int:
    """Print where the newest `last` decisions changed something, oldest first."""
    out.print(listing(changes(_entries(config, last=last))), highlight=False, markup=False)
    return 0


def show_last(config: Config, *, out: Console) -> int:
    """Print the last decision with every number behind it."""
    out.print(explain(_entries(config, last=1)[-1]), highlight=False, markup=False)
    return 0


def _entries(config: Config, *, last: int) -> Sequence[Entry]:
    try:
        entries = read_ledger(StateDir(config.state_dir).ledger, last=max(1, last))
    except LedgerError as error:
        raise WarmfrontError(str(error)) from error
    if not entries:
        raise WarmfrontError("the ledger is empty: no decision has been made yet")
    return entries
