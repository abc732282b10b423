import dataclasses
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable, ReplicaRecord, is_alive


def record(replica="r1", **changes):
    this = psutil.Process()
    made = ReplicaRecord(
        id=replica, model="tiny", state=ReplicaState.STANDBY, pid=this.pid,
        pid_started=this.create_time(), host="127.0.0.1", port=4711, slots=8, since=1.5,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def test_what_was_put_is_read_back(tmp_path):
    table = ProcessTable(tmp_path / "made" / "here")
    table.put(record("r2"))
    table.put(record("r1"))

    assert table.records() == [record("r1"), record("r2")]
    assert record().url == "http://127.0.0.1:4711"


def test_putting_again_replaces(tmp_path):
    table = ProcessTable(tmp_path)
    table.put(record(state=ReplicaState.STANDBY))
    table.put(record(state=ReplicaState.SERVING))

    assert [one.state for one in table.records()] == [ReplicaState.SERVING]
    assert [path.name for path in tmp_path.iterdir()] == ["r1.json"]


def test_removing_twice_is_fine(tmp_path):
    table = ProcessTable(tmp_path)
    table.put(record())
    table.remove("r1")
    table.remove("r1")

    assert table.records() == []


def fields(**changes):
    made = json.loads(json.dumps(dataclasses.asdict(record("bad"))))
    return json.dumps({**made, **changes}).encode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"id": "r1", "mod', id="half written"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b"\xff\xfe\x00", id="not text"),
        pytest.param(b"{}", id="nothing in it"),
        pytest.param(fields(state="napping"), id="unknown state"),
        pytest.param(fields(pid="many"), id="pid is a word"),
        pytest.param(fields(pid=-1), id="pid is below zero"),
        pytest.param(fields(port=None), id="no port"),
    ],
)
def test_a_file_that_is_no_record_is_skipped(tmp_path, content):
    table = ProcessTable(tmp_path)
    table.put(record())
    (tmp_path / "bad.json").write_bytes(content)
    (tmp_path / "folder.json").mkdir()

    assert table.records() == [record()]


def test_a_field_of_a_later_version_does_no_harm(tmp_path):
    (tmp_path / "bad.json").write_bytes(fields(colour="green"))

    assert ProcessTable(tmp_path).records() == [record("bad")]


@pytest.mark.parametrize("replica", ["../r1", "a/b", "", "a\0b"])
def test_an_id_cannot_name_a_file_elsewhere(tmp_path, replica):
    table = ProcessTable(tmp_path / "table")

    with pytest.raises(ValueError, match="expected an id"):
        table.put(record(replica))
    with pytest.raises(ValueError, match="expected an id"):
        table.remove(replica)


def test_readers_never_see_half_a_record_while_others_write(tmp_path):
    table = ProcessTable(tmp_path)
    table.put(record())

    def write(port):
        for _ in range(50):
            table.put(record(port=port))

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, port) for port in (1, 2, 3)]
        seen = [table.records() for _ in range(100)]
        for writer in writers:
            writer.result()

    assert all(len(records) == 1 for records in seen)
    assert [path.name for path in tmp_path.iterdir()] == ["r1.json"]


def test_writers_in_other_processes_do_not_disturb_each_other(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from telemetry.process_table import ProcessTable, ReplicaRecord\n"
        "from telemetry.lifecycle import ReplicaState\n"
        "table = ProcessTable(Path(sys.argv[1]))\n"
        "for i in range(100):\n"
        "    table.put(ReplicaRecord('shared', 'm', ReplicaState.SERVING, 1, 1.0, 'h', i, 1, 0.0))"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path.cwd())
        for _ in range(2)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]

    assert [one.port for one in ProcessTable(tmp_path).records()] == [99]


def test_this_process_is_alive():
    assert is_alive(record())


def test_a_reused_process_id_is_not_the_replica():
    assert not is_alive(record(pid_started=record().pid_started - 60))


def test_a_process_that_ended_is_not_alive():
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        started = psutil.Process(process.pid).create_time()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        ended = record(pid=process.pid, pid_started=started)

        assert not is_alive(ended)  # a zombie: its parent has not asked yet
    assert not is_alive(ended)
