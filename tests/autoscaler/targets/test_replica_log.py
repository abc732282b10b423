import os

import pytest

from autoscaler.targets.replica_log import ReplicaLogs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("loading\nNo model here\n\n", "No model here", id="the last line"),
        pytest.param("a\nOSError: no model\nbye\n", "OSError: no model", id="the last error"),
        pytest.param("error " * 1000, ("error " * 1000)[:400], id="cut to size"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_last_words_are_what_a_replica_said_of_its_failure(tmp_path, text, words):
    logs = ReplicaLogs(tmp_path)
    logs.path("a").write_text(text)

    assert logs.last_words("a") == words


def test_a_replica_without_a_log_has_no_last_words(tmp_path):
    assert ReplicaLogs(tmp_path).last_words("a") == ""


def test_a_long_log_is_cut_under_its_writer_and_one_older_part_is_kept(tmp_path):
    logs = ReplicaLogs(tmp_path, max_bytes=100)
    with logs.path("a").open("a") as writer:
        writer.write("x" * 101)
        writer.flush()
        logs.trim(in_use={"a"})
        writer.write("after")

    assert logs.path("a").read_text() == "after"
    assert (tmp_path / "a.log.1").read_text() == "x" * 101


def test_the_oldest_logs_not_in_use_are_dropped(tmp_path):
    logs = ReplicaLogs(tmp_path, keep=1)
    for age, name in enumerate(["new", "old", "older", "in-use"]):
        logs.path(name).write_text(name)
        os.utime(logs.path(name), (1000 - age, 1000 - age))

    logs.trim(in_use={"in-use"})

    assert sorted(path.name for path in tmp_path.iterdir()) == ["in-use.log", "new.log"]
