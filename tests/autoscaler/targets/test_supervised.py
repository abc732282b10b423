import os
from dataclasses import replace

import psutil
import pytest

from autoscaler.targets.replica_client import Health
from autoscaler.targets.supervised import Deadlines, Fate, Supervised
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ReplicaRecord

DEADLINES = Deadlines(start_seconds=100.0, silent_seconds=20.0, drain_seconds=30.0)


def record(state):
    started = psutil.Process().create_time()
    return ReplicaRecord(
        "a", "m", state, os.getpid(), started, "127.0.0.1", 8080, slots=8, since=50.0
    )


def supervised(state=None, **fields):
    known = None if state is None else record(state)
    return Supervised("a", 1, is_child=False, met=0.0, met_at=0.0, record=known, **fields)


def health(state, *, since, name="a"):
    return Health(name, state, since, running=2, waiting=1)


def test_before_it_has_a_record_a_replica_is_starting_and_has_no_address():
    seen = supervised().seen()

    assert (seen.state, seen.url) == (ReplicaState.STARTING, None)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        pytest.param(51.0, ReplicaState.SERVING, id="the answer is newer"),
        pytest.param(49.0, ReplicaState.STANDBY, id="the record is newer"),
    ],
)
def test_of_record_and_answer_the_newer_counts(since, expected):
    one = supervised(ReplicaState.STANDBY)
    one.heard(health(ReplicaState.SERVING, since=since), now=1.0)

    assert one.state is expected
    assert one.seen().load == 3


def test_an_answer_of_another_program_on_the_port_is_no_answer():
    one = supervised(ReplicaState.STANDBY)
    one.heard(health(ReplicaState.SERVING, since=51.0, name="b"), now=1.0)

    assert one.answered is None


@pytest.mark.parametrize(("now", "is_overdue"), [(100.0, False), (100.1, True)])
def test_a_start_is_overdue_after_its_deadline(now, is_overdue):
    assert supervised(ReplicaState.STARTING).is_overdue(DEADLINES, now=now) is is_overdue


@pytest.mark.parametrize(("now", "is_overdue"), [(90.0, False), (90.1, True)])
def test_silence_is_overdue_counted_from_readiness_not_from_a_long_start(now, is_overdue):
    one = supervised(ReplicaState.STANDBY)
    one.heard(None, now=70.0)

    assert one.is_overdue(DEADLINES, now=now) is is_overdue


def test_what_was_decided_outweighs_what_a_replica_says():
    one = supervised(ReplicaState.SERVING)
    one.let_go(kill_after=9.0)
    assert one.state is ReplicaState.DRAINING

    one.fate = Fate.CONDEMNED
    assert one.state is ReplicaState.FAILED


@pytest.mark.parametrize(
    ("seconds", "is_gone"),
    [pytest.param(0.0, False, id="the same"), pytest.param(-100.0, True, id="another")],
)
def test_a_process_that_took_over_the_pid_is_not_the_replica(seconds, is_gone):
    one = supervised(ReplicaState.SERVING)
    one.record = replace(one.record, pid_started=one.record.pid_started + seconds)

    assert one.has_exited() is is_gone
