"""What a new user waits for, and what the stack takes: from `make up` to the first token.

Clones the committed tree into an empty folder, as a new user would, and runs `make up` there
with an empty virtual environment (pip's cache may be warm; run twice to be sure it is).
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))
from report import ROOT, Row, arguments, fail, publish

QUESTION = {
    "model": "warmfront-tiny",
    "messages": [{"role": "user", "content": "What is a cold start?"}],
    "stream": True,
}
TWO_REPLICAS = "[autoscaler]\nminimum = 2\n"


def main() -> int:
    """Measure, and print."""
    parser = arguments(__doc__)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="warmfront-bench-") as folder:
        clone = Path(folder) / "warmfront"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        rows = list(_measure(clone, quick=options.quick))
    return publish(rows, as_json=options.json)


def _measure(clone: Path, *, quick: bool) -> Iterator[Row]:
    began = time.monotonic()
    with _up(clone):
        first = _first_token(clone, give_up=began + 300) - began
    yield Row("make up to first streamed token", "empty virtual environment", first, "s", 60)
    (clone / "warmfront.toml").write_text(TWO_REPLICAS)
    began = time.monotonic()
    with _up(clone) as process:
        first = _first_token(clone, give_up=began + 120) - began
        yield Row("make up to first streamed token", "installed before", first, "s")
        _await_replicas(clone, 2)
        time.sleep(10.0 if quick else 60.0)
        parts = _memory(process.pid, clone)
    (clone / "warmfront.toml").unlink()
    yield Row("memory with two replicas", "whole stack (PSS)", sum(parts.values()), "MiB", 1536)
    for name, mebibytes in parts.items():
        yield Row("memory with two replicas", name, mebibytes, "MiB")
    if not quick:
        yield Row("make test", "whole suite", _suite(clone), "s", 300)


@contextlib.contextmanager
def _up(clone: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `make up` until the body is done, then press Ctrl-C."""
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    for port in (8000, 8001, 9400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                fail(f"port {port} is taken; stop what listens there first")
    process = subprocess.Popen(
        ["make", "up"], cwd=clone, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)


def _first_token(clone: Path, *, give_up: float) -> float:
    """Ask until a first token arrives; return when it did."""
    request = urllib.request.Request(
        "http://127.0.0.1:8000/v1/chat/completions", json.dumps(QUESTION).encode()
    )
    while time.monotonic() < give_up:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(request, timeout=30) as answer,  # noqa: S310 - our own gateway
        ):
            for line in answer:
                if re.search(rb'"content": ?"[^"]', line):
                    return time.monotonic()
        time.sleep(0.1)
    fail(f"no token came from the stack in {clone}")
    raise AssertionError


def _await_replicas(clone: Path, count: int) -> None:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        records = [json.loads(path.read_text()) for path in _records(clone)]
        if sum(record["state"] == "serving" for record in records) >= count:
            return
        time.sleep(0.2)
    fail(f"{count} replicas did not come up")


def _records(clone: Path) -> list[Path]:
    return list((clone / ".warmfront" / "replicas").glob("*.json"))


def _memory(root: int, clone: Path) -> dict[str, float]:
    """Return the proportional set size of each of the stack's processes, in MiB."""
    pids = {json.loads(path.read_text())["pid"]: path.stem for path in _records(clone)}
    daemon = [
        child.pid
        for child in psutil.Process(root).children(recursive=True)
        if "warmfront" in " ".join(child.cmdline()) and child.pid not in pids
    ]
    pids |= dict.fromkeys(daemon, "daemon")
    return {
        f"{name} ({pid})": psutil.Process(pid).memory_full_info().pss / 2**20
        for pid, name in pids.items()
    }


def _suite(clone: Path) -> float:
    began = time.monotonic()
    done = subprocess.run(["make", "test"], cwd=clone, check=False, stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        fail(f"make test failed in {clone}")
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
