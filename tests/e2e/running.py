"""The stack as a user starts it: `warmfront up` in a process of its own, on free ports."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

T = TypeVar("T")
FAST = """
[autoscaler]
hold_seconds = 2
demand_window_seconds = 3
tick_seconds = 0.5
[telemetry]
scrape_seconds = 0.5
[forecast]
step_seconds = 2
[replica]
drain_seconds = 10
"""


def wait_for(what: str, check: Callable[[], T | None], *, seconds: float = 40.0) -> T:
    """Ask until the answer is truthy; fail naming what was waited for."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        answer = check()
        if answer:
            return answer
        time.sleep(0.1)
    pytest.fail(f"waited {seconds:g} s in vain for {what}")


@dataclass
class Running:
    """A started stack."""

    process: subprocess.Popen[str]
    state: Path
    out: Path
    api: str
    console: str
    exporter: str

    @property
    def gateway(self) -> str:
        return self.api.removesuffix("/v1")

    def get(self, url: str) -> str:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own
            return str(response.read().decode())

    def snapshot(self) -> dict[str, Any]:
        return dict(json.loads(self.get(f"{self.console}/api/snapshot")))

    def replicas(self) -> list[dict[str, Any]]:
        """Return the records of replicas whose processes run."""
        found = [_record(path) for path in sorted((self.state / "replicas").glob("*.json"))]
        return [one for one in found if one and is_alive(one["pid"])]

    def serving(self) -> list[dict[str, Any]]:
        return [one for one in self.replicas() if one["state"] == "serving"]

    def stop(self) -> int:
        """Press Ctrl-C and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=40)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that died and waits to be buried does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _record(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _address(out: Path, name: str) -> str | None:
    found = re.search(rf"^{name}\s+(http://\S+)", out.read_text(), re.MULTILINE)
    return found.group(1) if found else None


def start(folder: Path, config: str = FAST) -> Running:
    """Start a stack in `folder` and wait until it says where it listens."""
    folder.mkdir(exist_ok=True)
    settings, out = folder / "warmfront.toml", folder / "out.txt"
    settings.write_text(config)
    state = folder / "state"
    ports = [f"--{name}-port=0" for name in ("gateway", "console", "exporter")]
    command = [
        sys.executable, "-m", "warmfront", "up", "--plain", "--config", str(settings),
        "--state-dir", str(state), *ports,
    ]  # fmt: skip
    with out.open("w") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip

    def listening() -> tuple[str, str, str] | None:
        assert process.poll() is None, out.read_text()
        found = [_address(out, name) for name in ("API", "Console", "GPUs")]
        return (found[0], found[1], found[2]) if all(found) else None  # type: ignore[return-value]

    api, console, exporter = wait_for("the stack's addresses", listening)
    return Running(process, state, out, api, console, exporter)


def end(folder: Path) -> None:
    """Leave nothing running, whatever the test did."""
    for path in (folder / "state" / "replicas").glob("*.json"):
        record = _record(path)
        if record and is_alive(record["pid"]):
            os.kill(record["pid"], signal.SIGKILL)


def metric(page: str, name: str, **labels: str) -> float:
    """Sum the samples of one metric on a page whose labels match."""
    total, found = 0.0, False
    for line in page.splitlines():
        if line.startswith((f"{name}{{", f"{name} ")) and all(
            f'{key}="{value}"' in line for key, value in labels.items()
        ):
            total, found = total + float(line.rsplit(" ", 1)[1]), True
    assert found, f"{name} {labels} is not on the page"
    return total
