import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from inference.replica.__main__ import main
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ProcessTable, ReplicaRecord, is_alive

DEADLINE = 20.0


@dataclass(frozen=True, slots=True)
class Child:
    process: subprocess.Popen
    table: ProcessTable
    log: Path

    def reach(self, *states: ReplicaState) -> ReplicaRecord:
        give_up = time.monotonic() + DEADLINE
        while time.monotonic() < give_up:
            records = self.table.records()
            if records and records[0].state in states:
                return records[0]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.01)
        raise AssertionError(f"never {states}: {self.log.read_text()}")


@contextmanager
def child(folder: Path, model: Path, *extra: str) -> Iterator[Child]:
    (folder / "key").write_text("the-key\n")
    command = [
        sys.executable, "-m", "inference.replica", "--id", "r1", "--model-dir", str(model),
        "--model-name", "tiny", "--table", str(folder / "table"), "--admin-key-file",
        str(folder / "key"), "--log-file", str(folder / "log"), *extra,
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            yield Child(process, ProcessTable(folder / "table"), folder / "log")
        finally:
            process.kill()


def test_the_openai_client_works_and_sigterm_drains(tmp_path: Path, checkpoint: Path):
    with child(tmp_path, checkpoint) as one:
        record = one.reach(ReplicaState.SERVING)
        assert is_alive(record)
        assert record.pid == one.process.pid

        with openai.OpenAI(
            base_url=f"{record.url}/v1", api_key="none", max_retries=0, timeout=DEADLINE
        ) as client:
            assert [model.id for model in client.models.list()] == ["tiny"]
            messages = [{"role": "user", "content": "hi"}]
            whole = client.chat.completions.create(
                model="tiny", messages=messages, max_completion_tokens=12, temperature=0
            )
            with client.chat.completions.create(
                model="tiny", messages=messages, max_completion_tokens=12, temperature=0,
                stream=True, stream_options={"include_usage": True},
            ) as stream:  # fmt: skip
                chunks = list(stream)
            text = client.completions.create(model="tiny", prompt="hi", seed=3, stop=["\n"])
            with pytest.raises(openai.NotFoundError) as unknown:
                client.completions.create(model="other", prompt="hi")
            with pytest.raises(openai.BadRequestError) as too_long:
                client.completions.create(model="tiny", prompt="x" * 300)

        said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert said == whole.choices[0].message.content
        assert chunks[-1].usage == whole.usage
        assert text.choices[0].finish_reason in {"length", "stop"}
        assert unknown.value.code == "model_not_found"
        assert too_long.value.code == "context_length_exceeded"

        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(DEADLINE) == 0
        assert one.table.records() == []
        assert one.process.stderr.read() == b""
        log = [json.loads(line) for line in one.log.read_text().splitlines()]
        assert [line["after"] for line in log if line["event"] == "state changed"] == [
            "standby", "serving", "draining", "stopped",
        ]  # fmt: skip


def test_a_broken_model_ends_the_process_with_one_clear_line(tmp_path: Path, new_checkpoint):
    model = new_checkpoint()
    (model / "config.json").write_text("{}")

    with child(tmp_path, model) as one:
        assert one.process.wait(DEADLINE) == 1
        (record,) = one.table.records()

    assert record.state is ReplicaState.FAILED
    assert not is_alive(record)
    failures = [line for line in one.log.read_text().splitlines() if "replica failed" in line]
    assert len(failures) == 1
    assert "config.json" in json.loads(failures[0])["reason"]


def test_a_replica_outlives_a_closed_stderr(tmp_path: Path, checkpoint: Path):
    with child(tmp_path, checkpoint) as one:
        one.process.stderr.close()
        record = one.reach(ReplicaState.SERVING)
        one.process.send_signal(signal.SIGTERM)

        assert one.process.wait(DEADLINE) == 0
        assert not is_alive(record)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        pytest.param(["--admin-key-file", "/nowhere/key"], "/nowhere/key", id="no key file"),
        pytest.param(["--id", "a/b"], "an id that can name a file", id="id"),
        pytest.param(["--log-file", "/nowhere/log"], "/nowhere/log", id="log file"),
    ],
)
def test_a_wrong_command_line_is_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
):
    (tmp_path / "key").write_text("key")
    right = [
        "--id", "r1", "--model-dir", str(tmp_path), "--model-name", "m", "--table",
        str(tmp_path / "table"), "--admin-key-file", str(tmp_path / "key"),
    ]  # fmt: skip

    assert main([*right, *extra]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "extra",
    [["--slots", "0"], ["--port", "-1"], ["--drain-seconds", "nan"], ["--state", "asleep"]],
    ids="=".join,
)
def test_values_out_of_range_are_refused(capsys: pytest.CaptureFixture[str], extra: list[str]):
    with pytest.raises(SystemExit, match="2"):
        main(extra)

    assert extra[0] in capsys.readouterr().err
