"""Whatever is wrong, there is one clear message, a non-zero exit, and no traceback."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.running import Running

pytestmark = pytest.mark.e2e


def _warmfront(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "warmfront", *arguments],
        capture_output=True, text=True, timeout=60, cwd=cwd, check=False,
    )  # fmt: skip


def _refused(done: subprocess.CompletedProcess[str]) -> str:
    said = done.stdout + done.stderr
    assert done.returncode in {1, 2}, said
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("up", "--config", "none.toml"), "none.toml: No such file", id="no config"),
        pytest.param(("up", "--config", "bad.toml"), "autoscaler.maximun", id="broken config"),
        pytest.param(("replay", "none.csv"), "none.csv", id="no trace"),
        pytest.param(("replay", "bad.csv"), "expected", id="unreadable trace"),
        pytest.param(("replay", "empty.csv"), "empty.csv", id="empty trace"),
        pytest.param(("replay", "--seconds", "1"), "--seconds", id="day too short"),
        pytest.param(("forecast", "bad.csv"), "bad.csv", id="forecast of an unreadable trace"),
        pytest.param(("forecast", "ok.csv", "--step", "-5"), "step", id="step below zero"),
        pytest.param(("autoscaler", "explain"), "no decision has been made", id="no ledger"),
        pytest.param(("fly",), "invalid choice", id="no such command"),
        pytest.param(("up", "--gateway-port", "99999"), "gateway", id="no such port"),
    ],
)
def test_a_wrong_call_is_told_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...], said: str):
    (tmp_path / "bad.toml").write_text("[autoscaler]\nmaximun = 3\n")
    (tmp_path / "bad.csv").write_text("colour,shape\nred,round\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "ok.csv").write_text("minute,requests\n0,1\n1,2\n2,3\n3,4\n")

    assert said in _refused(_warmfront(*arguments, cwd=tmp_path))


def test_a_taken_port_is_named_and_nothing_is_left(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = _refused(_warmfront("up", f"--gateway-port={port}", cwd=tmp_path))

    assert f"port {port} on 127.0.0.1 is taken" in said
    assert "--gateway-port" in said
    assert not list((tmp_path / ".warmfront" / "replicas").glob("*.json"))


def test_a_second_daemon_on_the_same_state_is_refused(module_stack: Running, tmp_path: Path):
    ports = [f"--{name}-port=0" for name in ("gateway", "console", "exporter")]

    done = _warmfront("up", "--state-dir", str(module_stack.state), *ports, cwd=tmp_path)

    assert "another Warmfront" in _refused(done)


def test_down_does_not_stop_what_a_daemon_owns(module_stack: Running, tmp_path: Path):
    assert "another Warmfront" in _refused(
        _warmfront("down", "--state-dir", str(module_stack.state), cwd=tmp_path)
    )
    assert module_stack.serving()


def test_a_history_that_cannot_be_read_is_named(tmp_path: Path):
    state = tmp_path / ".warmfront"
    state.mkdir()
    (state / "metrics.sqlite").write_text("not a database, and longer than a header " * 40)
    ports = [f"--{name}-port=0" for name in ("gateway", "console", "exporter")]

    said = _refused(_warmfront("up", *ports, cwd=tmp_path))

    assert "metrics.sqlite" in said
    assert "move the file away" in said


def test_a_model_folder_without_a_model_is_named(tmp_path: Path):
    (tmp_path / "warmfront.toml").write_text("[model]\nfolder = 'nowhere'\n")

    said = _refused(_warmfront("up", cwd=tmp_path))

    assert "nowhere holds no config.json" in said
