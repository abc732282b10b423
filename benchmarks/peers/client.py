"""Starting subjects and asking them, from the benchmark's side."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

from peers.worker import ONE_THREAD


class MissingError(Exception):
    """A peer's library is not installed."""


class Process:
    """One subject in a process of its own, ready to measure."""

    def __init__(self, python: str, script: str, folder: Path, variant: str) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name(script)), str(folder), variant],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
            env=os.environ | ONE_THREAD,
        )  # fmt: skip
        self._name = f"{script} {variant}"
        if "missing" in (first := self._answer()):
            raise MissingError(first["missing"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def measure(self, what: str, **arguments: Any) -> Any:
        """Return what the subject measured: seconds, mostly."""
        self._process.stdin.write(json.dumps({"measure": what, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()["seconds"]

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"{self._name} ended:\n{self._log.read()[-2000:]}")
        return json.loads(line)
