"""The peers, asked in an interpreter of their own; what they once answered is kept in a folder."""

import hashlib
import json
import os
import select
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil
from peers.worker import ONE_THREAD

from forecasting.tested import Floats, Indices, Tested

PROCESSES = 2
GIVE_UP_SECONDS = 60.0  # of CPU, which other work on the machine does not lengthen
_SCRIPT = Path(__file__).parents[1] / "peers" / "forecasters.py"


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer, and how much history it is given: points, or days where it has a daily season."""

    name: str
    forecaster: str
    library: str
    points: int = 0
    days: int = 0
    is_slow: bool = False

    def ask(self, series: Tested, filled: Floats, origin: int, horizon: int) -> dict[str, Any]:
        """Return the question: what it is forecast from, and how far."""
        points = self.points or self.days * series.season
        return {
            "forecaster": self.forecaster,
            "values": filled[max(0, origin + 1 - points) : origin + 1].tolist(),
            "season": series.season,
            "minutes": round(series.demand.step / 60),
            "horizon": horizon,
        }


PEERS = (
    Peer("Dynamo-style constant", "dynamo_constant", "numpy", points=1440),
    Peer("Dynamo-style Kalman", "dynamo_kalman", "numpy", points=1440),
    Peer("ETS damped (statsmodels)", "damped_ets", "statsmodels", points=1440),
    Peer("Holt-Winters, daily (statsmodels)", "holt_winters", "statsmodels", days=5),
    Peer("AutoETS (statsforecast)", "auto_ets", "statsforecast", points=1440),
    Peer("Prophet, daily", "prophet", "prophet", days=7),
    Peer("Dynamo-style Prophet", "dynamo_prophet", "prophet", points=50),
    Peer("AutoARIMA (statsforecast)", "auto_arima", "statsforecast", points=720),
    Peer("Dynamo-style ARIMA", "dynamo_arima", "pmdarima", points=480, is_slow=True),
    Peer("MSTL + AutoETS (statsforecast)", "mstl", "statsforecast", days=7, is_slow=True),
)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a peer forecast for a series: origins x steps x levels, with the CPU time of each."""

    values: Floats
    seconds: Floats


@dataclass(frozen=True, slots=True)
class Peers:
    """What came of the peers: the answers by peer and series, and why others have none."""

    answers: Mapping[tuple[str, str], Answered]
    missing: Mapping[str, str]
    versions: Mapping[str, str]  # of the libraries


@dataclass(frozen=True, slots=True)
class _Question:
    peer: Peer
    series: str
    number: int  # of the origin
    ask: dict[str, Any]


def ask_peers(
    tested: Sequence[tuple[Tested, Indices]],
    peers: Sequence[Peer],
    *,
    horizon: int,
    python: str,
    keep: Path | None,
) -> Peers:
    """Return what each peer forecasts at each origin of each series."""
    with tempfile.TemporaryDirectory(prefix="warmfront-bench-") as scratch:
        run = _Run(python, keep or Path(scratch), iter(_questions(tested, peers, horizon)))
        found = run.answers()
        versions = run.versions
    missing: dict[str, str] = {}
    answers: dict[tuple[str, str], Answered] = {}
    for peer in peers:
        for series, origins in tested:
            told = [found[peer.name, series.name, number] for number in range(origins.size)]
            errors = [one["error"] for one in told if "error" in one]
            if errors:
                some = f" ({len(errors)} of {len(told)}, {series.name})"
                missing[peer.name] = errors[0] + (some if len(errors) < len(told) else "")
            elif told:
                answers[peer.name, series.name] = Answered(
                    np.array([one["values"] for one in told]),
                    np.array([one["seconds"] for one in told]),
                )
    kept = {key: one for key, one in answers.items() if key[0] not in missing}
    return Peers(kept, missing, versions)


def _questions(
    tested: Sequence[tuple[Tested, Indices]], peers: Sequence[Peer], horizon: int
) -> Iterator[_Question]:
    """Yield every question, those of the quickest peers first."""
    filled = {series.name: series.filled for series, _ in tested}
    for peer in peers:
        for series, origins in tested:
            for number, origin in enumerate(origins):
                ask = peer.ask(series, filled[series.name], int(origin), horizon)
                yield _Question(peer, series.name, number, ask)


class _Run:
    """Questions handed out to processes of the peers' interpreter, as each becomes free."""

    def __init__(self, python: str, keep: Path, questions: Iterator[_Question]) -> None:
        self._python = python
        self._keep = keep
        self._questions = questions
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str, int], dict[str, Any]] = {}
        self.versions: Mapping[str, str] = {}

    def answers(self) -> dict[tuple[str, str, int], dict[str, Any]]:
        """Ask everything; return answers by peer, series and number of the origin."""
        threads = [threading.Thread(target=self._work) for _ in range(PROCESSES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self._found

    def _work(self) -> None:
        with _Process(self._python) as process:
            self.versions = process.versions
            while (question := self._next()) is not None:
                peer = question.peer
                answer = self._answer(process, question)
                self._found[peer.name, question.series, question.number] = answer

    def _next(self) -> _Question | None:
        with self._lock:
            return next(self._questions, None)

    def _answer(self, process: "_Process", question: _Question) -> dict[str, Any]:
        version = process.versions.get(question.peer.library)
        if version is None:
            return {
                "error": f"{question.peer.library} is not installed where --peer-python points"
            }
        asked = json.dumps([question.ask, question.peer.library, version]).encode()
        name = hashlib.sha256(asked).hexdigest()[:32]
        kept = self._keep / question.peer.forecaster / f"{name}.json"
        if not kept.exists():
            answer = process.ask(question.ask)
            kept.parent.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(f".{threading.get_ident()}")
            part.write_text(json.dumps(answer))
            part.replace(kept)
        return json.loads(kept.read_text())


class _Process:
    """One process of the peers' interpreter, started anew where an answer takes too long."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer, or that there was none in time."""
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        give_up = self._cpu_seconds() + GIVE_UP_SECONDS
        while not select.select([self._process.stdout], [], [], 1.0)[0]:
            if self._cpu_seconds() > give_up:
                self._stop()
                self._start()
                return {"error": f"given up after {GIVE_UP_SECONDS:.0f} s of CPU time"}
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._start()
        return {"error": "its process ended"}

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [self._python, str(_SCRIPT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | ONE_THREAD,
        )  # fmt: skip
        self.versions: dict[str, str] = json.loads(self._process.stdout.readline())["versions"]

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _cpu_seconds(self) -> float:
        used = psutil.Process(self._process.pid).cpu_times()
        return used.user + used.system + used.children_user + used.children_system
