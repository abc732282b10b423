import asyncio
import signal
import sys

import pytest

from autoscaler.ledger import Entry, Ledger, LedgerError, read_ledger
from autoscaler.observation import Fleet, Observation, Replica
from autoscaler.plan import Plan, Reason
from telemetry.lifecycle import ReplicaState


def entry(at=0.0):
    fleet = Fleet((Replica("a", ReplicaState.SERVING, 0.0, 1, None),))
    observation = Observation(at, "m", fleet, demand=2.0)
    return Entry.of(Plan(at, "m", 2, 1, Reason.DEMAND_NOW, {"demand": 2.0}), observation)


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite", keep=5)
    yield ledger
    ledger.close()


def test_an_entry_keeps_the_plan_its_numbers_the_fleet_and_the_sentence(ledger):
    ledger.append(entry())

    (read,) = ledger.last(10)
    assert read == entry()
    assert read.fleet == {"serving": 1}
    assert read.sentence.startswith("2 serving and 1 on standby (now 1 serving): ")


def test_the_newest_entries_are_returned_oldest_first(ledger):
    for at in (1.0, 2.0, 3.0):
        ledger.append(entry(at))

    assert [read.at for read in ledger.last(2)] == [2.0, 3.0]


def test_the_ledger_stays_bounded(ledger):
    for at in range(12):
        ledger.append(entry(float(at)))

    assert [read.at for read in ledger.last(100)] == [7.0, 8.0, 9.0, 10.0, 11.0]


def test_another_process_reads_while_one_writes(ledger, tmp_path):
    ledger.append(entry())

    assert read_ledger(tmp_path / "ledger.sqlite", last=1) == [entry()]


def test_a_ledger_that_is_not_there_is_told_and_not_made(tmp_path):
    with pytest.raises(LedgerError, match="no decision has been made yet"):
        read_ledger(tmp_path / "none.sqlite", last=1)

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_ledger_is_told(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_text("a shopping list, longer than a header of SQLite " * 20)

    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(path)
    with pytest.raises(LedgerError, match="cannot be used"):
        read_ledger(path, last=1)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"reason": "whim"}'])
def test_what_is_no_entry_is_told(text):
    with pytest.raises(LedgerError, match="expected a decision"):
        Entry.from_json(text)


def test_a_closed_ledger_refuses_in_its_own_words(ledger):
    ledger.close()

    with pytest.raises(LedgerError, match="cannot be used"):
        ledger.append(entry())


async def test_what_was_recorded_survives_a_kill(tmp_path):
    path = tmp_path / "ledger.sqlite"
    script = tmp_path / "writer.py"
    script.write_text(
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from autoscaler.ledger import Entry, Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "ledger.append(Entry.from_json(sys.argv[2]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(path), entry().to_json()
    )

    assert await process.wait() == -signal.SIGKILL
    assert read_ledger(path, last=10) == [entry()]
