"""A day is played through a real tier: replicas come before the rise and go after it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.e2e.running import wait_for
from warmfront.day import STEPS_PER_DAY, office_demand

pytestmark = pytest.mark.e2e


def _write_trace(path: Path, *, days: int) -> None:
    """Write the office week as a trace of quarters of an hour."""
    rates = office_demand(days=days, rng=np.random.default_rng(5)).values
    minutes = 24 * 60 // STEPS_PER_DAY
    rows = [f"{900 * step},{rate * 900:.0f}" for step, rate in enumerate(rates)]
    assert minutes == 15
    path.write_text("start_s,requests\n" + "\n".join(rows) + "\n")


def test_a_day_of_a_trace_is_played_with_and_without_the_forecast(tmp_path: Path):
    trace, scores = tmp_path / "trace.csv", tmp_path / "scores.json"
    _write_trace(trace, days=4)

    done = subprocess.run(
        [
            sys.executable, "-m", "warmfront", "replay", str(trace),
            "--seconds", "30", "--peak", "10", "--json", str(scores), "--plain",
        ],
        capture_output=True, text=True, timeout=180, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)}, cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    predictive, reactive = json.loads(scores.read_text())
    assert (predictive["policy"], reactive["policy"]) == ("predictive", "reactive")
    assert predictive["requests"] == reactive["requests"] > 50
    assert predictive["failed"] == reactive["failed"] == 0  # turned away they may be, if slow
    assert predictive["output_tokens"] > 0
    assert predictive["replica_seconds"]["serving"] > 30
    assert predictive["replica_seconds"]["standby"] > 0, "nothing was pre-warmed"
    assert reactive["replica_seconds"].get("standby", 0) == 0
    ahead, behind = (_first_raise(part) for part in done.stdout.split("The day, reactive:"))
    assert ahead == "demand_forecast", "the rise was not foreseen"
    assert behind == "demand_now"
    assert "cold-start hits" in done.stdout
    assert _left_in(tmp_path) == []


def _first_raise(told: str) -> str:
    """Return why more than one replica was wanted for the first time.

    What is held was wanted before, perhaps for so short that it was not told.
    """
    wanted = re.findall(r"^(\w+): (\d+) serving, (\d+) on standby", told, re.MULTILINE)
    return next(
        reason
        for reason, serving, spare in wanted
        if int(serving) + int(spare) > 1 and reason != "held"
    )


def _left_in(folder: Path) -> list[str]:
    """Return the command lines of processes that work in a folder."""
    lines = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    return [line for line in lines if f"{folder}/" in line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_replay_that_is_stopped_leaves_nothing_behind(tmp_path: Path, number: signal.Signals):
    playing = subprocess.Popen(
        [sys.executable, "-m", "warmfront", "replay", "--seconds", "600", "--plain"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)}, cwd=tmp_path,
    )  # fmt: skip
    with playing:
        wait_for("a replica of the replay", lambda: _left_in(tmp_path))
        playing.send_signal(number)
        _, said = playing.communicate(timeout=30)

    assert playing.returncode == 130
    assert said == ""
    assert _left_in(tmp_path) == []
    assert list(tmp_path.glob("warmfront-replay-*")) == []
