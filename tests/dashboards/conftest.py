"""A stack as the console meets it: a real store with a few hours in it, and a real server."""

import math
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, async_playwright

from dashboards.console.console import Console
from dashboards.console.feeds import Feeds
from dashboards.console.server import build_console
from dashboards.console.snapshot import Settings
from telemetry import catalog
from telemetry.clock import ManualClock
from telemetry.publish import Metrics
from telemetry.sqlite_store import SqliteStore

MODEL = "warmfront-tiny"
ARRIVING = ("standard", "")  # priority and region
STEP = 10.0
NOW = 1_790_000_003.0
HOSTILE = '<script>document.title="owned"</script><img src=x onerror=alert(1)>'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ahead:
    """A forecast with a band that widens with every step ahead."""

    origin: float
    level: float
    step: float = STEP
    steps: int = 30
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)

    @property
    def times(self) -> np.ndarray:
        return self.origin + self.step * np.arange(1, self.steps + 1)

    def at_quantile(self, quantile: float) -> np.ndarray:
        ahead = np.arange(1, self.steps + 1)
        middle = self.level + 3.0 * np.sin(ahead / 18.0)
        return middle + (quantile - 0.5) * (1.2 + 0.7 * np.sqrt(ahead))


def expected_demand(at: float) -> float:
    """Requests per second: a slow wave with a faster one on it."""
    return 9.0 + 6.0 * math.sin(at / 420.0) + 1.5 * math.sin(at / 90.0)


@dataclass
class Stack:
    """Metrics that move as a real stack's do, written to a real store page by page."""

    store: SqliteStore
    clock: ManualClock
    model: str = MODEL
    metrics: Metrics = field(default_factory=Metrics)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def start(self) -> None:
        """Write the first page: every counter at zero, as right after the start."""
        self.metrics.counter(catalog.GATEWAY_ARRIVALS).labels(self.model, *ARRIVING)
        self.metrics.counter(catalog.GATEWAY_OUTPUT_TOKENS).labels(self.model)
        self.page(demand=0.0)

    def live(
        self, *, until: float, every: float = STEP, quiet: tuple[float, float] = (0, 0)
    ) -> None:
        """Live until a moment; nothing is scraped while it is `quiet`."""
        while self.clock.now() + every <= until:
            self.clock.advance(every)
            self.serve(every)
            if not quiet[0] <= self.clock.now() < quiet[1]:
                self.page(demand=expected_demand(self.clock.now()))

    def serve(self, seconds: float) -> None:
        """Let requests arrive and be answered for some seconds."""
        count = int(self.rng.poisson(expected_demand(self.clock.now()) * seconds))
        self.metrics.counter(catalog.GATEWAY_ARRIVALS).labels(self.model, *ARRIVING).inc(count)
        tokens = float(self.rng.normal(60.0, 3.0) * count)
        self.metrics.counter(catalog.GATEWAY_OUTPUT_TOKENS).labels(self.model).inc(max(tokens, 0))
        labels = (self.model, "chat", "warmfront")
        ttft = self.metrics.histogram(catalog.TIME_TO_FIRST_TOKEN).labels(*labels)
        tpot = self.metrics.histogram(catalog.TIME_PER_OUTPUT_TOKEN).labels(*labels)
        for _ in range(count):
            ttft.observe(float(self.rng.lognormal(-2.1, 0.55)))
            tpot.observe(float(self.rng.lognormal(-3.6, 0.3)))

    def page(self, *, demand: float) -> None:
        """Write one page of every gauge and counter."""
        now, model, serving = self.clock.now(), self.model, serving_for(demand)
        starting = serving_for(expected_demand(now + 40)) > serving
        self._gauges(catalog.REPLICAS, "state", serving=serving, standby=1, starting=int(starting))
        self._gauges(catalog.REPLICAS_WANTED, "tier", serving=serving + int(starting), standby=1)
        for level, offset in (("0.1", -2.2), ("0.5", 0.0), ("0.9", 2.2)):
            forecast = self.metrics.gauge(catalog.FORECAST).labels(model, level)
            forecast.set(max(0.0, demand + offset))
        self.metrics.gauge(catalog.FORECAST_COVERAGE).labels(model, "0.9").set(0.91)
        self.metrics.gauge(catalog.GATEWAY_IN_FLIGHT).labels(model).set(round(demand * 0.9))
        held = self.metrics.gauge(catalog.GATEWAY_HELD)
        held.labels(model, "interactive").set(int(starting))
        held.labels(model, "standard").set(int(starting))
        self.metrics.gauge(catalog.CAPACITY).labels(model).set(5.2)
        self._gauges(catalog.LEAD_TIME, "step", start=3.4, wake=0.12)
        self._anomalies(now)
        self._devices(demand)
        for job, instance in (("gateway", "127.0.0.1:8000"), ("exporter", "127.0.0.1:9400")):
            self.metrics.gauge(catalog.SCRAPE_UP).labels(job, instance).set(1)
        self.store.write(self.metrics.samples(now))

    def _gauges(self, metric: catalog.Metric, label: str, **values: float) -> None:
        rows = [({"model": self.model, label: name}, value) for name, value in values.items()]
        self.metrics.replace(metric, rows)

    def _anomalies(self, now: float) -> None:
        wave = 1.6 * math.sin(now / 70.0)
        spike = 5.0 if NOW - 620 < now < NOW - 520 else 0.0
        self._gauges(catalog.ANOMALY_SCORE, "signal", demand=wave, ttft_p95=wave * 0.6 + spike)
        self._gauges(catalog.ANOMALY_ACTIVE, "signal", demand=0, ttft_p95=float(spike > 0))
        self._gauges(catalog.ANOMALY_LOW, "signal", demand=6.1, ttft_p95=0.05)
        self._gauges(catalog.ANOMALY_HIGH, "signal", demand=19.0, ttft_p95=0.42)

    def _devices(self, demand: float) -> None:
        for index in range(2):
            labels = (
                str(index), f"GPU-{index:08x}", f"00000000:0{index}:00.0", f"nvidia{index}",
                "NVIDIA H100 80GB HBM3", "node-1", "true",
            )  # fmt: skip
            busy = min(98.0, 12.0 + 4.5 * demand + 9 * index)
            for metric, value in (
                (catalog.GPU_UTIL, busy),
                (catalog.GPU_FB_USED, 42_130.0 + 3_000 * index),
                (catalog.GPU_FB_FREE, 39_429.0 - 3_000 * index),
                (catalog.GPU_POWER, 180 + 4.6 * busy),
                (catalog.GPU_TEMPERATURE, 38 + busy / 4),
            ):
                self.metrics.gauge(metric).labels(*labels).set(value)


def serving_for(demand: float) -> int:
    return max(1, math.ceil(demand / 5.2))


def decisions(limit: int) -> list[Mapping[str, Any]]:
    """What an autoscaler wrote down, the newest first."""
    told = [
        ("forecast", "14.9 req/s are expected within the lead time: 3 replicas hold them.", 3, 1),
        ("held", "2 replicas would do, but the last raise was 41 s ago, within the hold.", 3, 1),
        ("demand", "13.8 req/s arrive, 2 replicas sustain 10.4: one more was woken.", 3, 1),
        ("steady", "2 replicas carry 8.1 req/s at 78 % of their capacity.", 2, 1),
        ("scale_down", "The forecast stays below 9.2 req/s: one replica is drained.", 2, 1),
        ("start", "The first replica was started.", 1, 1),
    ]  # fmt: skip
    rows = [
        {
            "at": NOW - 8.0 - 95.0 * index, "reason": reason, "sentence": sentence,
            "serving": serving, "standby": standby,
            "numbers": {"demand_rps": 13.8, "forecast_high_rps": 14.9, "capacity_rps": 5.2},
        }
        for index, (reason, sentence, serving, standby) in enumerate(told)
    ]  # fmt: skip
    return rows[:limit]


def fleet() -> list[Mapping[str, Any]]:
    """Four replicas in three states."""
    rows = (("r1", "serving", 1900, 6), ("r2", "serving", 640, 5), ("r3", "serving", 42, 3))
    return [
        *(
            {"id": name, "state": state, "since": NOW - age, "pid": 4000 + age, "in_flight": busy,
             "waiting": 0}
            for name, state, age, busy in rows
        ),
        {"id": "r4", "state": "standby", "since": NOW - 38, "pid": 4711, "in_flight": None,
         "waiting": None},
    ]  # fmt: skip


def anomalies() -> list[Mapping[str, Any]]:
    """One that passed."""
    sentence = "TTFT p95 reached 0.61 s; 0.05 to 0.42 s is normal at this time."
    return [{"at": NOW - 620, "until": NOW - 520, "signal": "ttft_p95", "sentence": sentence}]


SETTINGS = Settings(
    model=MODEL,
    step_seconds=STEP,
    points=120,
    addresses={"API": "http://127.0.0.1:8000/v1", "exporter": "http://127.0.0.1:9400"},
    notes=("replicas are paced to 25 ms per iteration (simulated)",),
    ttft_objective_seconds=1.0,
)
FEEDS = Feeds(
    forecast=lambda: Ahead(origin=NOW // STEP * STEP, level=expected_demand(NOW)),
    decisions=decisions,
    fleet=fleet,
    anomalies=anomalies,
)


def lived(folder: Path) -> Stack:
    """Return a stack with twenty minutes behind it, two of them without metrics."""
    stack = young(folder, age=130 * STEP)
    stack.live(until=NOW, quiet=(NOW - 900, NOW - 780))
    stack.clock.advance(NOW - stack.clock.now())
    return stack


def unborn(folder: Path, *, age: float = 0.0) -> Stack:
    """Return a stack whose store is empty."""
    clock = ManualClock(NOW - age)
    store = SqliteStore(folder / "metrics.sqlite", retention_seconds=1e6, clock=clock)
    return Stack(store, clock)


def young(folder: Path, *, age: float = 0.0) -> Stack:
    """Return a stack that has only just been started."""
    stack = unborn(folder, age=age)
    stack.start()
    return stack


def hostile(settings: Settings) -> Settings:
    """Return settings in which every text is an attack."""
    addresses = {HOSTILE: HOSTILE, "gateway": HOSTILE}
    return replace(settings, model=HOSTILE, notes=(HOSTILE,), addresses=addresses)


@dataclass
class Serving:
    """The console's server on a port that stays the same over restarts."""

    app: Callable[[], web.Application]
    port: int = 0
    runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.runner = web.AppRunner(self.app(), shutdown_timeout=0.2)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.port = self.runner.addresses[0][1]

    async def stop(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None


Serve = Callable[[Console], Awaitable[Serving]]


@dataclass(frozen=True)
class World:
    """The names above, for tests: modules of tests cannot import each other."""

    now: float = NOW
    step: float = STEP
    hostile_text: str = HOSTILE
    unknown: str = "\N{EN DASH}"
    settings: Settings = SETTINGS
    feeds: Feeds = FEEDS
    hostile = staticmethod(hostile)
    expected_demand = staticmethod(expected_demand)


@pytest.fixture(scope="session")
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def busy_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a past; it is shared, so read it only."""
    stack = lived(tmp_path_factory.mktemp("busy"))
    yield stack
    stack.store.close()


@pytest.fixture
def young_stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack without a past, to do with as a test likes."""
    stack = young(tmp_path)
    yield stack
    stack.store.close()


@pytest.fixture
def unborn_stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack that has not even begun."""
    stack = unborn(tmp_path)
    yield stack
    stack.store.close()


@pytest.fixture(scope="session")
def busy_console(busy_stack: Stack) -> Console:
    return Console(busy_stack.store, settings=SETTINGS, clock=busy_stack.clock, feeds=FEEDS)


@asynccontextmanager
async def servers() -> AsyncIterator[Serve]:
    """Serve consoles; everything that was started is stopped at the end."""
    started: list[Serving] = []

    async def start(console: Console) -> Serving:
        serving = Serving(lambda: build_console(console, Metrics().render))
        await serving.start()
        started.append(serving)
        return serving

    yield start
    for serving in started:
        await serving.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def serve() -> AsyncIterator[Serve]:
    async with servers() as start:
        yield start


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def serve_for_all() -> AsyncIterator[Serve]:
    async with servers() as start:
        yield start


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine's PATH")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()
