"""The past is shown where it changed; a ledger that is not there says so."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from autoscaler.ledger import Entry, Ledger
from autoscaler.plan import Reason
from warmfront.config import Config
from warmfront.decisions import changes, show_last, show_ledger
from warmfront.errors import WarmfrontError


def _entry(at: float, serving: int, reason: Reason = Reason.DEMAND_NOW) -> Entry:
    return Entry(
        at, "tiny", serving, 0, reason, {"demand": at}, {"serving": 1}, f"because {at:g}."
    )


def _config(folder: Path, *entries: Entry) -> Config:
    ledger = Ledger(folder / "ledger.sqlite")
    for entry in entries:
        ledger.append(entry)
    ledger.close()
    return Config(state_dir=folder)


def test_a_decision_that_only_repeats_the_last_one_is_left_out():
    entries = [_entry(1, 1), _entry(2, 1), _entry(3, 2), _entry(4, 2, Reason.HELD), _entry(5, 2)]

    assert [entry.at for entry in changes(entries)] == [1, 3, 4, 5]


def test_the_ledger_lists_changes_oldest_first(tmp_path: Path):
    out = io.StringIO()
    config = _config(tmp_path, _entry(1, 1), _entry(2, 1), _entry(3, 4))

    assert show_ledger(config, last=20, out=Console(file=out, width=120)) == 0

    rows = out.getvalue().splitlines()[1:]
    assert [row.split()[3:5] for row in rows] == [["->", "1"], ["->", "4"]]


def test_the_last_decision_is_explained_with_its_numbers(tmp_path: Path):
    out = io.StringIO()

    show_last(_config(tmp_path, _entry(1, 1), _entry(7, 3)), out=Console(file=out, width=120))

    assert "Because 7." in out.getvalue()
    assert "7 req/s" in out.getvalue()


def test_without_a_decision_there_is_a_message_for_people(tmp_path: Path):
    with pytest.raises(WarmfrontError, match="no decision has been made yet"):
        show_last(Config(state_dir=tmp_path / "nowhere"), out=Console(file=io.StringIO()))
    with pytest.raises(WarmfrontError, match="the ledger is empty"):
        show_last(_config(tmp_path), out=Console(file=io.StringIO()))
