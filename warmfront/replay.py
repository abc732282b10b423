"""Play a day of demand through a real tier, time-compressed, once for each policy.

The tier is one of its own in a temporary folder: nothing of a running Warmfront is touched.
"""

import asyncio
import contextlib
import json
import math
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console as Terminal

from forecaster.demand.demand import DemandError
from forecaster.demand.trace_file import read_trace
from inference.models.bundled.scaling_sentences import Case
from telemetry import catalog
from telemetry.clock import Clock, SystemClock
from telemetry.series import Sample, Selector, Series, Window
from telemetry.store import Store
from warmfront.config import BUNDLED_MODEL, Config
from warmfront.day import DAY_SECONDS, STEPS_PER_DAY, Day, office_demand, squeeze
from warmfront.errors import ConfigError, WarmfrontError
from warmfront.load import Outcome, Schedule
from warmfront.score import Score, caveats, score, table
from warmfront.stack import Stack, running
from warmfront.watch import Progress, watch

_HISTORY = {"job": "replay", "instance": "history"}
_SHORTEST_DAY, _HIGHEST_PEAK = 10.0, 1_000.0
_JUST_INSIDE = 0.01  # of a step
_MAX_TOKENS = 64
_SETTLE_SECONDS = 2.0
_OFFICE_DAYS = 5  # Monday to Thursday as history, Friday is played


@dataclass(frozen=True, slots=True)
class Request:
    """What to play, and how."""

    trace: Path | None
    seconds: float
    peak: float
    seed: int
    policies: Sequence[str]
    pace: float  # seconds that an iteration takes at least
    plain: bool = False
    json_path: Path | None = None

    def __post_init__(self) -> None:
        possible = (
            _SHORTEST_DAY <= self.seconds <= DAY_SECONDS
            and 0 < self.peak <= _HIGHEST_PEAK
            and 0 <= self.pace <= 1
        )
        if not possible:
            raise ConfigError(
                f"expected --seconds of {_SHORTEST_DAY:g} to {DAY_SECONDS:g}, a --peak above 0 "
                f"and up to {_HIGHEST_PEAK:g} requests/s and a --pace of 0 to 1 s, got "
                f"{self.seconds:g}, {self.peak:g} and {self.pace:g}"
            )


async def replay(request: Request, base: Config) -> int:
    """Play the day under each policy and print the scores side by side."""
    terminal = Terminal()
    clock = SystemClock()
    day = await asyncio.to_thread(_day, request)
    arrivals = day.arrivals(np.random.default_rng(request.seed))
    terminal.print(_announcement(request, day, len(arrivals)))
    scores: list[Score] = []
    with tempfile.TemporaryDirectory(prefix="warmfront-replay-") as folder:
        for policy in request.policies:
            config = _config(base, day, request, policy, Path(folder) / policy)
            playing = _Playing(config, day, arrivals, clock, terminal, plain=request.plain)
            scores.append(await playing.play())
    terminal.print(table(scores, ttft_objective=base.objective.ttft_seconds))
    for caveat in caveats(scores):
        terminal.print(caveat, style="yellow")
    if request.json_path is not None:
        _write_scores(request.json_path, scores)
    return 0


def _day(request: Request) -> Day:
    """Read the trace, or make up the office week, and squeeze its last day."""
    try:
        return squeeze(_demand(request), live_seconds=request.seconds, peak=request.peak)
    except DemandError as error:
        raise WarmfrontError(str(error)) from error
    except ValueError as error:
        raise WarmfrontError(f"cannot replay {request.trace}: {error}") from error


def _demand(request: Request) -> Series:
    if request.trace is None:
        return office_demand(days=_OFFICE_DAYS, rng=np.random.default_rng(request.seed))
    trace = read_trace(request.trace)
    step = max(min(DAY_SECONDS, trace.span_seconds) / STEPS_PER_DAY, 1.0)
    rows = trace.bin_seconds or step
    return trace.demand(math.ceil(step / rows - 1e-9) * rows).rate


def _announcement(request: Request, day: Day, requests: int) -> str:
    name = "a made-up office day" if request.trace is None else str(request.trace)
    before = len(day.history) / len(day.rates)
    history = f"{before:.0f} days of it as history" if before >= 1 else "no history before it"
    return (
        f"Playing {name}: {requests} requests in {day.live_seconds:.0f} s "
        f"(time runs x{day.compression:.0f}), {history}.\n"
        f"Demand is scaled to a peak of {request.peak:g} requests/s; iterations are paced to "
        f"{request.pace * 1000:.0f} ms to stand for a larger model (simulated speed)."
    )


def _config(base: Config, day: Day, request: Request, policy: str, folder: Path) -> Config:
    """Squeeze every setting that is a time by as much as the day."""
    host = base.addresses.host
    ports = {
        name: _free_port(host, getattr(base.addresses, name))
        for name in ("gateway", "console", "exporter")
    }
    scrape = min(0.3, day.step / 3)
    config = base.replaced(
        "the replay",
        addresses=ports,
        replica={"slots": 4, "min_iteration_seconds": request.pace, "drain_seconds": 10.0},
        autoscaler={
            "mode": policy,
            "tick_seconds": min(0.25, day.step / 3),
            "demand_window_seconds": max(2 * day.step, 10 * scrape),
            "hold_seconds": 2 * day.step,
        },
        forecast={
            "step_seconds": day.step,
            "season_seconds": day.live_seconds,
            "horizon_steps": 12,
            "calendar": None,  # of days, which are squeezed here
            "timezone": "UTC",
        },
        telemetry={"scrape_seconds": scrape},
    )
    return config.model_copy(update={"state_dir": folder})


def _free_port(host: str, preferred: int) -> int:
    """Return the preferred port if nothing listens there, else a free one."""
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    raise WarmfrontError(f"{host} has no free port")


@dataclass(frozen=True, slots=True)
class _Playing:
    """One day under one policy."""

    config: Config
    day: Day
    arrivals: list[float]
    clock: Clock
    terminal: Terminal
    plain: bool

    async def play(self) -> Score:
        """Start a tier, give it its history, send the requests, keep the score."""
        config, policy = self.config, self.config.autoscaler.mode
        self.terminal.print(f"The day, {policy}:")
        async with running(config, clock=self.clock, compression=self.day.compression) as stack:
            await stack.wait_serving(deadline_seconds=config.replica.start_timeout_seconds)
            begin = _next_step(self.clock.now() + _SETTLE_SECONDS, self.day.step)
            await self._tell_history(stack.store, begin)
            progress = Progress(label=f"{policy} day", total=len(self.arrivals))
            async with watch(stack, self.terminal, plain=self.plain, progress=progress):
                outcomes = await _send(stack, config, self.arrivals, begin, progress)
            await asyncio.sleep(2 * config.telemetry.scrape_seconds)
            end = self.clock.now()
            counted = await asyncio.to_thread(_counted, stack.store, config, begin, end)
        return score(
            policy,
            outcomes,
            cold_start_hits=counted.cold_start_hits,
            replica_seconds=counted.replica_seconds,
            ttft_objective=config.objective.ttft_seconds,
        )

    async def _tell_history(self, store: Store, begin: float) -> None:
        model = self.config.model.name
        samples = history(self.day.history, begin=begin, step=self.day.step, model=model)
        await asyncio.to_thread(store.write, samples)


def _next_step(at: float, step: float) -> float:
    return (at // step + 1) * step


def history(rates: NDArray[np.float64], *, begin: float, step: float, model: str) -> list[Sample]:
    """Return the samples of an arrivals counter that grew at `rates` until `begin`.

    A gap in the rates stays one: nothing is read at its end, and the step after it is counted
    from a reading just inside it.
    """
    name, labels = catalog.GATEWAY_ARRIVALS.name, {"model": model, **_HISTORY}
    start = begin - len(rates) * step
    counted = np.concatenate([[0.0], np.cumsum(np.nan_to_num(rates) * step)])
    samples, was_read = [Sample(name, labels, start, 0.0)], True
    for index, is_known in enumerate(np.isfinite(rates)):
        if is_known and not was_read:
            inside = start + (index + _JUST_INSIDE) * step
            samples.append(Sample(name, labels, inside, float(counted[index])))
        if is_known:
            end = start + (index + 1) * step
            samples.append(Sample(name, labels, end, float(counted[index + 1])))
        was_read = bool(is_known)
    return samples


async def _send(
    stack: Stack, config: Config, arrivals: list[float], begin: float, progress: Progress
) -> list[Outcome]:
    """Let the load generator send the day, in a process of its own."""
    target = config.state_dir / "outcomes.json"
    schedule = Schedule(
        url=stack.gateway_url,
        model=config.model.name,
        begin=begin,
        due=arrivals,
        prompts=_prompts(config),
        max_tokens=_MAX_TOKENS,
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "warmfront.load",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us; we end it
    )  # fmt: skip
    try:
        assert process.stdin is not None  # noqa: S101 - we asked for pipes
        process.stdin.write(json.dumps({**asdict(schedule), "outcomes": str(target)}).encode())
        process.stdin.close()
        async for sent in _lines(process):
            progress.done = sent
        if await process.wait() != 0:
            raise WarmfrontError("the load generator failed; see the message above")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    progress.done = len(arrivals)
    raw = json.loads(await asyncio.to_thread(target.read_text))
    return [Outcome(**one) for one in raw]


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[int]:
    assert process.stdout is not None  # noqa: S101 - we asked for pipes
    async for line in process.stdout:
        yield int(line)


def _prompts(config: Config) -> list[str]:
    """Ask the bundled model what it was trained for; any other, something plain."""
    if config.model.name != BUNDLED_MODEL or config.model.folder is not None:
        return ["Say in one sentence why a warm replica answers sooner than a cold one."]
    rng = np.random.default_rng(0)
    forecasts, replicas = rng.integers(0, 65, 64), rng.integers(1, 9, 64)
    return [
        Case(int(forecast), 16, int(replica), 8).prompt
        for forecast, replica in zip(forecasts, replicas, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the stack's own metrics say about the day."""

    cold_start_hits: int
    replica_seconds: Mapping[str, float]


def _counted(store: Store, config: Config, begin: float, end: float) -> _Counted:
    """Read from the store what grew between two moments."""
    window = Window(end, end, end - begin)
    labels = {"model": config.model.name}
    hits = store.increase(Selector(catalog.GATEWAY_COLD_START_HITS.name, labels), window)
    spent = store.increase(Selector(catalog.REPLICA_SECONDS.name, labels), window)
    return _Counted(
        cold_start_hits=round(sum(_grown(one) for one in hits)),
        replica_seconds={one.labels["state"]: _grown(one) for one in spent},
    )


def _grown(series: Series) -> float:
    value = float(series.values[-1])
    return value if np.isfinite(value) else 0.0


def _write_scores(path: Path, scores: Sequence[Score]) -> None:
    try:
        path.write_text(json.dumps([one.to_json() for one in scores], indent=2) + "\n")
    except OSError as error:
        raise WarmfrontError(f"cannot write {path}: {error.strerror or error}") from error
