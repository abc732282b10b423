"""A load generator that this project did not write, before a real replica of the bundled model."""

import json
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import Row

import inference.models.bundled
from gateway_load.processes import gateway
from telemetry.process_table import ProcessTable

MODEL = "warmfront-tiny"
CONCURRENCY = 8
CANCELLED_PERCENT = 10
OBJECTIVES = "time_to_first_token:500 inter_token_latency:50"  # milliseconds
_FOLDER = Path(inference.models.bundled.__file__).parent
_CANCELLED = 499  # what aiperf itself calls a request that it cancelled
_START_SECONDS = 60.0
_SETTLE_SECONDS = 10.0
_SAMPLE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


def measure(scratch: Path, *, quick: bool, command: str | None) -> Iterator[Row]:
    """Send requests of which some are cancelled, and look at what is left of them."""
    aiperf = command or shutil.which("aiperf")
    if aiperf is None or not Path(aiperf).is_file():
        yield Row("not measured: no such command; --aiperf names it", "aiperf", float("nan"), "")
        return
    requests = 60 if quick else 400
    with (
        _replica(scratch) as replica,
        gateway(scratch / "table", model=MODEL, objective=0.5) as front,
    ):
        before = _Left.of(replica)
        found = _run(aiperf, f"http://127.0.0.1:{front.told['port']}", scratch, requests)
        after = _settled(replica, before)
        page = front.ask()["metrics"]
    subject = f"aiperf {_version(aiperf)}, {MODEL}, {CONCURRENCY} at a time"
    yield from _rows(found, subject)
    yield Row("leaked KV blocks", subject, after.blocks - before.blocks, "", 0)
    yield Row("requests left at the replica", subject, after.requests, "", 0)
    in_flight = _sum(page, "warmfront_gateway_requests_in_flight")
    yield Row("requests left at the gateway", subject, in_flight, "", 0)


@dataclass(frozen=True, slots=True)
class _Left:
    """What a replica holds when nobody asks it anything."""

    blocks: float
    requests: float

    @classmethod
    def of(cls, url: str) -> "_Left":
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310 - ours
            page = answer.read().decode()
        running = _sum(page, "warmfront_replica_requests_running")
        waiting = _sum(page, "warmfront_replica_requests_waiting")
        return cls(_sum(page, "warmfront_replica_kv_blocks", 'state="used"'), running + waiting)


def _sum(page: str, name: str, label: str = "") -> float:
    """Add up a family's series that carry a label; one that is not there is an error."""
    found = [
        float(value)
        for own, labels, value in _SAMPLE.findall(page)
        if own == name and label in labels
    ]
    if not found:
        raise RuntimeError(f"the page has no {name}")
    return sum(found)


@contextmanager
def _replica(scratch: Path) -> Iterator[str]:
    """Run a replica as the stack does, and yield its address."""
    key, table = scratch / "key", scratch / "table"
    key.write_text(secrets.token_hex(16))
    key.chmod(0o600)
    process = subprocess.Popen(
        [
            sys.executable, "-m", "inference.replica", "--id", "r1", "--model-dir", str(_FOLDER),
            "--model-name", MODEL, "--table", str(table), "--admin-key-file", str(key),
            "--log-file", str(scratch / "replica.log"),
        ]
    )  # fmt: skip
    try:
        yield _url(table, process)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _url(table: Path, process: subprocess.Popen[bytes]) -> str:
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        serving = [one for one in ProcessTable(table).records() if one.state.value == "serving"]
        if serving:
            return serving[0].url
        time.sleep(0.1)
    raise RuntimeError("the replica did not come up")


def _run(aiperf: str, url: str, scratch: Path, requests: int) -> dict[str, Any]:
    """Run aiperf; its environment stays as it is: told to be offline, it refuses local folders."""
    out = scratch / "aiperf"
    command = [
        aiperf, "profile", "--model", MODEL, "--url", url, "--endpoint-type", "chat",
        "--streaming", "--tokenizer", str(_FOLDER), "--synthetic-input-tokens-mean", "64",
        "--output-tokens-mean", "24", "--concurrency", str(CONCURRENCY),
        "--request-count", str(requests), "--goodput", OBJECTIVES,
        "--request-cancellation-rate", str(CANCELLED_PERCENT),
        "--request-cancellation-delay", "0.05", "--random-seed", "7",
        "--ui", "none", "--output-artifact-dir", str(out),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=scratch, capture_output=True, text=True, timeout=300, check=False
    )
    pages = sorted(out.rglob("profile_export_aiperf.json"))
    if not pages:
        raise RuntimeError(f"aiperf ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return dict(json.loads(pages[0].read_text()))


def _rows(found: dict[str, Any], subject: str) -> Iterator[Row]:
    failed = found.get("error_summary") or []
    cancelled, errors = (
        sum(one["count"] for one in failed if (one["error_details"]["code"] == _CANCELLED) is want)
        for want in (True, False)
    )
    yield Row("requests answered", subject, _average(found, "request_count"), "")
    yield Row("requests that the client cancelled", subject, cancelled, "")
    yield Row("requests that ended in an error", subject, errors, "", 0)
    yield Row("requests per second", subject, _average(found, "request_throughput"), "1/s")
    good = _average(found, "goodput")
    yield Row(f"goodput ({OBJECTIVES} ms)", subject, good, "1/s")
    for name, figure in (("time_to_first_token", "TTFT"), ("inter_token_latency", "ITL")):
        for level in ("p50", "p99"):
            yield Row(f"{figure} {level}", subject, _average(found, name, level), "ms")


def _average(found: dict[str, Any], name: str, level: str = "avg") -> float:
    return float(found.get(name, {}).get(level, float("nan")))


def _settled(url: str, before: _Left) -> _Left:
    """Look again until what was cancelled last is gone, or should be."""
    give_up = time.monotonic() + _SETTLE_SECONDS
    while (now := _Left.of(url)) != before and time.monotonic() < give_up:
        time.sleep(0.1)
    return now


def _version(aiperf: str) -> str:
    command = [aiperf, "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
