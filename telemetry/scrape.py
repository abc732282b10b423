"""The scraper: every interval, /metrics pages and our own metrics into the store."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import aiohttp
import structlog

from telemetry import catalog
from telemetry.clock import Clock
from telemetry.publish import Metrics, parse_page
from telemetry.series import Sample
from telemetry.store import Store, StoreError

CATALOG_PREFIXES = ("gen_ai_", "warmfront_", "DCGM_FI_")
LOCAL_JOB = "warmfront"

_MAX_PAGE_BYTES = 16 * 1024 * 1024
_HEADERS = {
    "Accept": "text/plain; version=0.0.4",
    "Accept-Encoding": "identity",  # most targets are on this machine
}

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """One /metrics page, and which of its names are kept."""

    job: str
    instance: str
    url: str
    prefixes: tuple[str, ...] = CATALOG_PREFIXES

    @property
    def labels(self) -> dict[str, str]:
        """What its samples are labelled with where they do not say it themselves."""
        return {"job": self.job, "instance": self.instance}


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one fetch of one target gave; no samples where it failed."""

    target: Target
    is_up: bool
    seconds: float
    samples: Sequence[Sample] = ()


class Scraper:
    """Fetches every target each interval and writes one batch to the store.

    `metrics` carries the scraper's own health and is kept with `local`, the metrics of this
    process. `targets` is called in a thread, each interval anew.
    """

    def __init__(
        self,
        targets: Callable[[], Sequence[Target]],
        *,
        local: Sequence[Metrics],
        metrics: Metrics,
        store: Store,
        clock: Clock,
        interval: float = 1.0,
        instance: str = "localhost",
    ) -> None:
        self._targets = targets
        self._metrics = metrics
        self._pages = [metrics, *(page for page in local if page is not metrics)]
        self._local = Target(LOCAL_JOB, instance, "")
        self._store = store
        self._clock = clock
        self._interval = interval
        self._batches_lost = 0
        self._down: frozenset[Target] = frozenset()

    async def run(self) -> None:
        """Scrape at every multiple of the interval until cancelled."""
        async with open_session(self._interval) as session:
            while True:
                try:
                    await self.scrape(session)
                except Exception:
                    self._metrics.counter(catalog.SCRAPE_ERRORS).inc()
                    _logger.exception("scrape failed")
                await asyncio.sleep(self._interval - self._clock.now() % self._interval)

    async def scrape(self, session: aiohttp.ClientSession) -> None:
        """Scrape every target once, all at the same time, and keep what they said."""
        at = self._clock.now()
        targets = await asyncio.to_thread(self._targets)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._fetch(session, one, at)) for one in targets]
        scrapes = [task.result() for task in tasks]
        self._publish(scrapes)
        await self._keep([*chain.from_iterable(s.samples for s in scrapes), *self._own(at)])

    async def _fetch(self, session: aiohttp.ClientSession, target: Target, at: float) -> Scrape:
        started = self._clock.monotonic()
        try:
            text = await _read_page(session, target.url)
            samples = parse_page(text, at=at, extra_labels=target.labels, prefixes=target.prefixes)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._log_down(target, error)
            return Scrape(target, is_up=False, seconds=self._clock.monotonic() - started)
        return Scrape(target, True, self._clock.monotonic() - started, samples)

    def _log_down(self, target: Target, error: Exception) -> None:
        """Say it once when a target goes down, not every interval."""
        if target not in self._down:
            reason = str(error) or type(error).__name__
            _logger.warning("target is down", url=target.url, reason=reason, **target.labels)

    def _publish(self, scrapes: Sequence[Scrape]) -> None:
        for scrape in scrapes:
            if scrape.is_up and scrape.target in self._down:
                _logger.info("target is up", url=scrape.target.url, **scrape.target.labels)
        self._down = frozenset(scrape.target for scrape in scrapes if not scrape.is_up)
        self._metrics.replace(
            catalog.SCRAPE_UP, [(one.target.labels, float(one.is_up)) for one in scrapes]
        )
        self._metrics.replace(
            catalog.SCRAPE_DURATION, [(one.target.labels, one.seconds) for one in scrapes]
        )

    def _own(self, at: float) -> list[Sample]:
        labels = self._local.labels
        return [
            Sample(one.name, {**labels, **one.labels}, one.at, one.value)
            for page in self._pages
            for one in page.samples(at)
        ]

    async def _keep(self, samples: Sequence[Sample]) -> None:
        try:
            await asyncio.to_thread(self._store.write, samples)
        except StoreError as error:
            self._metrics.counter(catalog.STORE_ERRORS).inc()
            if not self._batches_lost:
                _logger.exception("metrics store takes no samples", reason=str(error))
            self._batches_lost += 1
        else:
            if self._batches_lost:
                _logger.info("metrics store takes samples again", lost=self._batches_lost)
            self._batches_lost = 0


def open_session(deadline_seconds: float) -> aiohttp.ClientSession:
    """Return the session that pages are fetched with, each within the deadline."""
    timeout = aiohttp.ClientTimeout(total=deadline_seconds)
    return aiohttp.ClientSession(timeout=timeout, headers=_HEADERS)


async def _read_page(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url, allow_redirects=False, raise_for_status=True) as response:
        if response.status != 200:  # noqa: PLR2004 - a redirect is no page
            raise ValueError(f"expected a page, got HTTP {response.status}")
        page = bytearray()
        async for chunk in response.content.iter_chunked(65_536):
            page += chunk
            if len(page) > _MAX_PAGE_BYTES:
                raise ValueError(f"the page is larger than {_MAX_PAGE_BYTES} bytes")
        return page.decode()
