import asyncio
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from autoscaler.lead_time import LeadTimes
from autoscaler.plan import Plan, Reason
from autoscaler.targets.backoff import Backoff
from autoscaler.targets.local import LocalTarget
from autoscaler.targets.replica_client import ReplicaClient
from autoscaler.targets.replica_log import ReplicaLogs
from autoscaler.targets.replica_process import start_process
from autoscaler.targets.supervised import Deadlines
from telemetry.clock import SystemClock
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable, is_alive
from telemetry.publish import Metrics

PROGRAM = Path(__file__).parent.parent / "fake_replica.py"
PATIENT = Deadlines(start_seconds=30.0, silent_seconds=30.0, drain_seconds=30.0)


def plan(serving, standby=0):
    return Plan(0.0, "m", serving, standby, Reason.DEMAND_NOW, {})


class Machine:
    """One machine: its process table, its programs, and the daemons that come and go on it."""

    def __init__(self, folder):
        self.table = ProcessTable(folder / "replicas")
        self.logs = ReplicaLogs(folder / "logs")
        self.options = []
        self.started = []
        self.clients = []

    def command(self, replica, state):
        self.started.append(replica)
        return [
            sys.executable, str(PROGRAM), "--id", replica, "--model", "m",
            "--table", str(self.table._folder), "--state", state.value, *self.options,
        ]  # fmt: skip

    def daemon(
        self, *, maximum=4, deadlines=PATIENT, backoff=None, key="key", command=None, patience=5.0
    ):
        self.metrics, self.leads = Metrics(), LeadTimes()
        self.clients.append(ReplicaClient(key, timeout_seconds=patience))
        return LocalTarget(
            model="m",
            command=command or self.command,
            table=self.table,
            client=self.clients[-1],
            logs=self.logs,
            metrics=self.metrics,
            lead_times=self.leads,
            clock=SystemClock(),
            maximum=maximum,
            deadlines=deadlines,
            backoff=backoff or Backoff(),
        )

    def count(self, name, **labels):
        return sum(
            sample.value
            for sample in self.metrics.samples(0.0)
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def starts(self, outcome):
        return self.count("warmfront_replica_starts_total", outcome=outcome)

    @property
    def crashes(self):
        return self.count("warmfront_replica_crashes_total")

    def processes(self):
        """Every replica process of this machine, zombies included."""
        folder = str(self.table._folder)
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if folder in (process.info["cmdline"] or [])
        ]

    def sweep(self):
        for process in self.processes():
            process.kill()
            process.wait(10)


@pytest.fixture
async def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.sweep()
    for client in machine.clients:
        await client.close()


async def until(target, *, then=None, seconds=20.0, **counts):
    """Observe (and apply `then`) until the fleet has exactly these counts."""
    deadline = time.monotonic() + seconds
    while True:
        fleet = await target.observe()
        seen = {state.value: count for state, count in fleet.counts.items() if count}
        if seen == counts:
            return fleet
        assert time.monotonic() < deadline, f"expected {counts}, saw {seen}"
        if then is not None:
            await target.apply(then)
        await asyncio.sleep(0.02)


async def test_replicas_are_started_into_their_tiers_and_their_start_is_measured(machine):
    target = machine.daemon()

    await target.apply(plan(1, 1))
    fleet = await until(target, serving=1, standby=1)

    assert all(psutil.pid_exists(replica.pid) for replica in fleet.replicas)
    assert machine.starts("ready") == 2
    assert machine.leads.start != LeadTimes().start


async def test_applying_twice_starts_no_more(machine):
    target = machine.daemon()

    await target.apply(plan(2))
    await target.apply(plan(2))
    await target.observe()
    await target.apply(plan(2))

    assert len(machine.started) == 2


async def test_the_machine_is_never_overfull(machine):
    target = machine.daemon(maximum=2)

    await target.apply(plan(5))

    assert len(machine.started) == 2


async def test_a_standby_replica_is_woken_and_put_back(machine):
    target = machine.daemon()
    await until(target, then=plan(0, 1), standby=1)
    (before,) = (await target.observe()).replicas

    woken = await until(target, then=plan(1), serving=1)
    rested = await until(target, then=plan(0, 1), standby=1)

    assert woken.replicas[0].id == rested.replicas[0].id == before.id
    assert machine.leads.wake != LeadTimes().wake
    assert machine.count("warmfront_replica_wake_seconds_count") == 1


async def test_a_surplus_replica_drains_and_leaves_nothing_behind(machine):
    target = machine.daemon()
    await until(target, then=plan(2), serving=2)

    await target.apply(plan(1))
    assert (await target.observe()).count(ReplicaState.DRAINING) <= 1
    await until(target, serving=1)

    assert len(machine.table.records()) == 1
    assert len(machine.processes()) == 1
    assert machine.crashes == 0


async def test_a_killed_replica_is_a_crash_and_is_replaced(machine):
    target = machine.daemon()
    (victim,) = (await until(target, then=plan(1), serving=1)).replicas

    os.kill(victim.pid, signal.SIGKILL)
    await until(target, failed=1)
    (replaced,) = (await until(target, then=plan(1), serving=1)).replicas

    assert replaced.id != victim.id
    assert machine.crashes == 1
    assert [record.id for record in machine.table.records()] == [replaced.id]
    assert victim.pid not in [process.pid for process in machine.processes()]


async def test_when_somebody_kills_all_of_them_all_come_back_at_once(machine):
    target = machine.daemon(backoff=Backoff(first_seconds=3600.0, longest_seconds=3600.0))
    fleet = await until(target, then=plan(2, 1), serving=2, standby=1)

    for replica in fleet.replicas:
        os.kill(replica.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while machine.crashes < 3 and time.monotonic() < deadline:
        await target.observe()

    await until(target, then=plan(2, 1), serving=2, standby=1)


async def test_a_start_that_fails_is_counted_and_told_with_its_last_words(machine, capsys):
    machine.options = ["--crash", "no model in /nowhere"]
    target = machine.daemon()

    await target.apply(plan(1))
    await until(target, failed=1)

    assert machine.starts("failed") == 1
    assert machine.crashes == 0
    assert "no model in /nowhere" in capsys.readouterr().out


async def test_starts_that_fail_again_and_again_are_backed_off_from(machine):
    machine.options = ["--crash", "no"]
    target = machine.daemon(backoff=Backoff(first_seconds=60.0, forget_seconds=600.0))
    for _ in range(2):
        await target.apply(plan(1))
        await until(target, failed=1)

    for _ in range(5):
        await target.apply(plan(1))
        await target.observe()

    assert len(machine.started) == 2


async def test_a_program_that_does_not_exist_is_a_failed_start(machine):
    target = machine.daemon(command=lambda *_: ["/no/such/program"])

    await target.apply(plan(1))

    assert machine.starts("failed") == 1
    assert (await target.observe()).replicas == ()


async def test_a_replica_that_never_gets_ready_is_killed(machine):
    machine.options = ["--hang"]
    target = machine.daemon(deadlines=Deadlines(start_seconds=0.5))

    await target.apply(plan(1))
    await until(target, failed=1)
    await until(target)

    assert machine.starts("failed") == 1
    assert machine.processes() == []


async def test_a_replica_that_falls_silent_is_killed_as_crashed(machine):
    target = machine.daemon(
        deadlines=Deadlines(start_seconds=30.0, silent_seconds=1.0, drain_seconds=30.0),
        patience=0.3,
    )
    (frozen,) = (await until(target, then=plan(1), serving=1)).replicas

    os.kill(frozen.pid, signal.SIGSTOP)
    await until(target, failed=1)
    await until(target)

    assert machine.crashes == 1


async def test_the_next_daemon_adopts_what_the_last_one_left(machine):
    fleet = await until(machine.daemon(), then=plan(1, 1), serving=1, standby=1)

    after = machine.daemon()
    adopted = await until(after, then=plan(1, 1), serving=1, standby=1)

    assert {one.id for one in adopted.replicas} == {one.id for one in fleet.replicas}
    assert machine.starts("adopted") == 2
    assert len(machine.started) == 2


async def test_an_adopted_replica_can_be_drained_and_missed(machine):
    first = machine.daemon()
    await until(first, then=plan(2), serving=2)
    after = machine.daemon()
    fleet = await until(after, serving=2)

    os.kill(fleet.replicas[0].pid, signal.SIGKILL)
    await first.observe()  # reaps its child, as init would
    await until(after, serving=1)
    assert machine.crashes == 1

    await after.close()
    assert machine.table.records() == []


async def test_a_start_nobody_noted_is_found_through_the_process_table(machine, tmp_path):
    orphan = start_process(
        machine.command("orphan", ReplicaState.SERVING), log=tmp_path / "orphan.log"
    )
    target = machine.daemon()

    fleet = await until(target, serving=1)
    await target.apply(plan(1))

    assert fleet.replicas[0].pid == orphan
    assert machine.started == ["orphan"]


async def test_the_replicas_of_a_rollout_are_left_alone(machine):
    target = machine.daemon()
    fleet = await until(target, then=plan(1), serving=1)
    (record,) = machine.table.records()
    own = psutil.Process()
    machine.table.put(
        replace(record, id="canary", version="v2", pid=own.pid, pid_started=own.create_time())
    )

    await target.apply(plan(1))

    assert (await target.observe()).replicas[0].id == fleet.replicas[0].id
    assert len((await target.observe()).replicas) == 1
    assert {one.id for one in machine.table.records()} == {record.id, "canary"}

    machine.table.put(replace(record, id="canary", version="v2", pid_started=0.0))
    await target.observe()
    assert {one.id for one in machine.table.records()} == {record.id}


async def test_a_daemon_killed_in_the_middle_leaves_its_replicas_to_the_next(machine, tmp_path):
    script = tmp_path / "daemon.py"
    script.write_text(
        "import sys, os, signal\n"
        "from pathlib import Path\n"
        "from autoscaler.targets.replica_process import start_process\n"
        "start_process(sys.argv[1:], log=Path(sys.argv[0]).with_suffix('.log'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    program = machine.command("survivor", ReplicaState.STANDBY)
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), *program)

    assert await process.wait() == -signal.SIGKILL
    await until(machine.daemon(), standby=1)


async def test_records_of_the_dead_are_swept_away_and_are_no_crash(machine):
    first = machine.daemon()
    (dead,) = (await until(first, then=plan(1), serving=1)).replicas
    (record,) = machine.table.records()
    os.kill(dead.pid, signal.SIGKILL)
    await until(first, failed=1)
    machine.table.put(record)

    fleet = await machine.daemon().observe()

    assert fleet.replicas == ()
    assert machine.table.records() == []
    assert machine.crashes == 0


async def test_replicas_of_other_models_are_left_alone(machine):
    first = machine.daemon()
    await until(first, then=plan(1), serving=1)
    (record,) = machine.table.records()
    machine.table.put(replace(record, model="other"))

    after = machine.daemon()
    assert (await after.observe()).replicas == ()
    await after.close()

    assert is_alive(record)


async def test_a_wrong_admin_key_wakes_nothing_and_is_told(machine, capsys):
    await until(machine.daemon(), then=plan(0, 1), standby=1)
    stranger = machine.daemon(key="wrong")

    await until(stranger, standby=1)
    await stranger.apply(plan(1))

    assert (await stranger.observe()).count(ReplicaState.STANDBY) == 1
    assert "401" in capsys.readouterr().out


async def test_closing_drains_all_and_leaves_no_process_behind(machine):
    target = machine.daemon()
    await until(target, then=plan(1, 1), serving=1, standby=1)
    await target.apply(plan(2, 2))

    await target.close()

    assert machine.processes() == []
    assert machine.table.records() == []
    assert machine.crashes == 0


async def test_closing_kills_what_ignores_the_request(machine):
    machine.options = ["--stubborn"]
    target = machine.daemon(
        deadlines=Deadlines(start_seconds=30.0, silent_seconds=30.0, drain_seconds=0.5)
    )
    await until(target, then=plan(1), serving=1)

    await target.close()

    assert machine.processes() == []


async def test_a_busy_replica_is_given_its_time_to_drain(machine):
    machine.options = ["--load", "3", "--drain-seconds", "0.5"]
    target = machine.daemon()
    await until(target, then=plan(1), serving=1)

    await target.apply(plan(0))
    fleet = await target.observe()

    assert fleet.count(ReplicaState.DRAINING) == 1
    assert fleet.in_flight == 3
    await until(target)
    assert machine.crashes == 0


async def test_closing_without_draining_leaves_them_to_the_next_daemon(machine):
    target = machine.daemon()
    await until(target, then=plan(1), serving=1)

    await target.close(drain=False)
    await target.apply(plan(3))

    (record,) = machine.table.records()
    assert is_alive(record)
