import os
from dataclasses import replace
from pathlib import Path

import pytest

from inference.replica.lifecycle import Identity, IllegalMoveError, Lifecycle
from telemetry.clock import ManualClock
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable, is_alive

WHO = Identity("r1", "tiny", "127.0.0.1", 8)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(100.0)


@pytest.fixture
def table(tmp_path: Path) -> ProcessTable:
    return ProcessTable(tmp_path / "table")


@pytest.fixture
def lifecycle(table: ProcessTable, clock: ManualClock) -> Lifecycle:
    one = Lifecycle(WHO, table, clock)
    one.announce(4321)
    return one


def test_a_replica_is_announced_before_its_model_is_loaded(
    lifecycle: Lifecycle, table: ProcessTable
):
    (record,) = table.records()

    assert record.state is ReplicaState.STARTING
    assert (record.url, record.slots, record.since) == ("http://127.0.0.1:4321", 8, 100.0)
    assert record.pid == os.getpid()
    assert is_alive(record)


def test_the_record_tells_what_it_runs_where_and_under_which_names(table: ProcessTable):
    who = replace(WHO, region="eu", version="v2", device="mig")
    one = Lifecycle(who, table, ManualClock())
    one.name_models(["early"])
    assert table.records() == []
    one.announce(1)
    one.name_models(["a", "b", "b:1"])
    (record,) = table.records()

    assert (record.region, record.version, record.device) == ("eu", "v2", "mig")
    assert record.models == ("a", "b", "b:1")
    assert record.serves("b:1")
    assert not record.serves("tiny")


def test_a_record_that_is_withdrawn_does_not_come_back(lifecycle: Lifecycle, table: ProcessTable):
    lifecycle.withdraw()
    lifecycle.name_models(["late"])

    assert table.records() == []


def test_every_move_rewrites_the_record(
    lifecycle: Lifecycle, table: ProcessTable, clock: ManualClock
):
    states = [ReplicaState.STANDBY, ReplicaState.SERVING, ReplicaState.DRAINING]
    for seconds, state in enumerate(states, start=1):
        clock.advance(1.0)
        lifecycle.move(state)
        (record,) = table.records()
        assert (record.state, record.since) == (state, 100.0 + seconds)


def test_an_illegal_move_changes_nothing(lifecycle: Lifecycle, table: ProcessTable):
    with pytest.raises(IllegalMoveError, match="from starting to serving"):
        lifecycle.move(ReplicaState.SERVING)

    assert lifecycle.state is ReplicaState.STARTING
    assert table.records()[0].state is ReplicaState.STARTING


def test_entering_the_present_state_again_changes_nothing(
    lifecycle: Lifecycle, clock: ManualClock
):
    lifecycle.move(ReplicaState.STANDBY)
    clock.advance(5.0)
    lifecycle.move(ReplicaState.STANDBY)

    assert lifecycle.since == 100.0


def test_a_replica_that_withdraws_leaves_no_record(lifecycle: Lifecycle, table: ProcessTable):
    lifecycle.withdraw()
    lifecycle.withdraw()

    assert table.records() == []


def test_a_table_that_cannot_be_written_does_not_stop_a_serving_replica(
    lifecycle: Lifecycle, table: ProcessTable, tmp_path: Path
):
    (tmp_path / "table").rename(tmp_path / "gone")
    lifecycle.move(ReplicaState.STANDBY)
    (tmp_path / "gone").rename(tmp_path / "table")
    lifecycle.move(ReplicaState.SERVING)

    assert table.records()[0].state is ReplicaState.SERVING


def test_a_change_of_slots_is_announced_once(lifecycle: Lifecycle, table: ProcessTable):
    lifecycle.resize(20)
    assert table.records()[0].slots == 20

    table.remove("r1")
    lifecycle.resize(20)
    assert table.records() == []
