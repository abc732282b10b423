"""The processes of a run: started, asked by lines of JSON, and measured from outside."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil

from gateway_load.engines import Pace

BENCHMARKS = Path(__file__).parents[1]


class MissingError(Exception):
    """A peer is not installed."""


class Process:
    """A process that says it is ready in a line of JSON, and answers each line with one."""

    def __init__(self, *command: str, environment: dict[str, str] | None = None) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        self._name = " ".join(command[1:3])
        self._process = subprocess.Popen(
            command, cwd=BENCHMARKS, env=os.environ | (environment or {}), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
        )  # fmt: skip
        self.told = self._read()
        if "missing" in self.told:
            raise MissingError(self.told["missing"])

    @classmethod
    def module(cls, name: str, **options: Any) -> Self:
        """Start a module of this package with its options as JSON."""
        return cls(sys.executable, "-m", f"gateway_load.{name}", json.dumps(options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it as it ends by itself: when nobody can ask it any more."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, job: str = "", **fields: Any) -> dict[str, Any]:
        """Return its answer to one line."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(json.dumps({"job": job, **fields}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def cpu_seconds(self) -> float:
        """Return user and system time of the process and its children."""
        total = 0.0
        own = psutil.Process(self.pid)
        for one in (own, *own.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system
        return total

    def pss(self) -> int:
        """Return its proportional set size in bytes."""
        return int(psutil.Process(self.pid).memory_full_info().pss)

    def log(self) -> str:
        """Return the end of what it wrote to stderr."""
        self._log.seek(0)
        return self._log.read()[-3000:]

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended:\n{self.log()}")
        return dict(json.loads(line))


def client() -> Process:
    """Start a load generator."""
    return Process.module("client")


def simulated(table: Path, *, replicas: int, slots: int, pace: Pace) -> Process:
    """Start simulated replicas; `told["ports"]` says where they listen."""
    own = {name: getattr(pace, name) for name in Pace.__slots__}
    return Process.module("simulated", table=str(table), replicas=replicas, slots=slots, pace=own)


def gateway(table: Path, *, model: str, objective: float, admits: bool = True) -> Process:
    """Start a gateway in front of a table; `told["port"]` says where it listens."""
    return Process.module(
        "front", table=str(table), model=model, objective=objective, admits=admits
    )
