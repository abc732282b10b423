import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import openai
import pytest

from inference.replica.command import main
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
def child(
    folder: Path, model: Path | None, *extra: str, path: Path | None = None
) -> Iterator[Child]:
    (folder / "key").write_text("the-key\n")
    own = [] if model is None else ["--model-dir", str(model), "--model-name", "tiny"]
    command = [
        sys.executable, "-m", "inference.replica", "--id", "r1", *own,
        "--table", str(folder / "table"), "--admin-key-file",
        str(folder / "key"), "--log-file", str(folder / "log"), *extra,
    ]  # fmt: skip
    env = os.environ | ({} if path is None else {"PYTHONPATH": str(path)})
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, start_new_session=True, env=env
    ) as process:
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
        assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
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


def test_a_repository_is_served_under_the_names_of_its_models(tmp_path: Path, checkpoint: Path):
    for name in ("a", "b"):
        shutil.copytree(checkpoint, tmp_path / "models" / name / "1")

    with child(tmp_path, None, "--repository", str(tmp_path / "models"), "--load", "b,a") as one:
        record = one.reach(ReplicaState.SERVING)
        with openai.OpenAI(
            base_url=f"{record.url}/v1", api_key="none", max_retries=0, timeout=DEADLINE
        ) as client:
            assert [model.id for model in client.models.list()] == ["b", "a"]
            said = client.completions.create(model="a", prompt="hi", max_tokens=3)
        page = scrape(record)

    assert record.model == "b"
    assert said.usage.completion_tokens == 3
    for phase in ("process", "libraries", "weights", "profile"):
        name = "warmfront_replica_load_phase_seconds"
        assert f'{name}{{model="b",phase="{phase}",replica="r1"}}' in page
    assert 'model="a",phase="process"' not in page


def scrape(record: ReplicaRecord) -> str:
    with urlopen(f"{record.url}/metrics", timeout=DEADLINE) as page:  # noqa: S310 - our own
        return page.read().decode()


BACKEND = """
import numpy as np

class Parrot:
    block_size, block_bytes = 16, 1024

    def __init__(self, settings):
        self.threads = settings.threads

    def load(self, spec, weights):
        self.vocabulary = spec.vocabulary

    def allocate_kv(self, blocks): pass

    def copy_blocks(self, copies): pass

    def step(self, batch):
        last = batch.tokens[np.arange(len(batch.last)), batch.last]
        return np.eye(self.vocabulary, dtype=np.float32)[last]

    def sleep(self, level): pass

    def wake(self): pass
"""


def test_a_package_may_bring_its_own_runtime(tmp_path: Path, checkpoint: Path):
    packages = tmp_path / "packages"
    metadata = packages / "parrot-1.0.dist-info"
    metadata.mkdir(parents=True)
    (packages / "parrot.py").write_text(BACKEND)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[warmfront.runtimes]\nparrot = parrot:Parrot\n")

    with child(tmp_path, checkpoint, "--runtime", "parrot", path=packages) as one:
        record = one.reach(ReplicaState.SERVING)
        with openai.OpenAI(
            base_url=f"{record.url}/v1", api_key="none", max_retries=0, timeout=DEADLINE
        ) as client:
            said = client.completions.create(
                model="tiny", prompt="hi!", max_tokens=5, temperature=0
            )

    assert said.choices[0].text == "!!!!!"


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
        pytest.param(["--load", "a"], "only together with a repository", id="load without"),
        pytest.param(["--model-name", ""], "--model-name", id="no name"),
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


def test_a_replica_serves_either_a_model_or_a_repository(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "key").write_text("key")
    (tmp_path / "models" / "a").mkdir(parents=True)
    fixed = [
        "--id", "r1", "--table", str(tmp_path / "table"),
        "--admin-key-file", str(tmp_path / "key"), "--repository", str(tmp_path / "models"),
    ]  # fmt: skip

    assert main([*fixed, "--model-dir", str(tmp_path), "--model-name", "m"]) == 2
    assert "either a model's folder or a repository" in capsys.readouterr().err
    assert main([*fixed, "--load", "a,nobody"]) == 2
    assert "--load" in (error := capsys.readouterr().err)
    assert "'nobody'" in error
    assert main([*fixed[:-1], "/nowhere"]) == 2
    assert "/nowhere: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "extra",
    [
        ["--slots", "0"],
        ["--port", "-1"],
        ["--drain-seconds", "nan"],
        ["--notice-seconds", "-1"],
        ["--device-kind", "tpu"],
        ["--state", "asleep"],
        ["--lowering", "flash"],
        ["--precision", "int7"],
        ["--policy", "eager"],
        ["--instances", "0"],
    ],
    ids="=".join,
)
def test_values_out_of_range_are_refused(capsys: pytest.CaptureFixture[str], extra: list[str]):
    with pytest.raises(SystemExit, match="2"):
        main(extra)

    assert extra[0] in capsys.readouterr().err
