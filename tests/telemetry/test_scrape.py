import asyncio
import contextlib

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from telemetry import catalog
from telemetry.catalog import CATALOG
from telemetry.clock import ManualClock, SystemClock
from telemetry.publish import Metrics
from telemetry.scrape import CATALOG_PREFIXES, Scraper, Target, open_session
from telemetry.store import StoreUnavailableError

T0 = 1_700_000_000.0


class Pages:
    """A server whose pages answer with a status, a body and after a while."""

    def __init__(self):
        self.bodies: dict[str, object] = {}
        self.asked: list[str] = []
        self.released = asyncio.Event()

    async def answer(self, request):
        self.asked.append(request.path)
        body = self.bodies[request.path]
        if body is None:
            await self.released.wait()
        if isinstance(body, dict):
            return web.Response(**body)
        return web.Response(body=body if isinstance(body, bytes) else str(body).encode())

    def target(self, name, body, *, job="replica", **options):
        self.bodies[f"/{name}"] = body
        return Target(job, name, f"{self.url}/{name}", **options)


@pytest.fixture
async def pages():
    served = Pages()
    application = web.Application()
    application.router.add_get("/{page}", served.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    served.released.set()
    await runner.cleanup()


class ListStore:
    """A store in memory that can be told to be unavailable."""

    def __init__(self):
        self.batches = []
        self.is_down = False

    def write(self, samples):
        if self.is_down:
            raise StoreUnavailableError("disk full")
        self.batches.append(list(samples))

    def __getattr__(self, name):
        raise AssertionError(f"the scraper reads nothing, yet asked for {name}")

    def values(self, name, **labels):
        return [
            sample.value
            for sample in self.batches[-1]
            if sample.name == name and labels.items() <= sample.labels.items()
        ]


def scraper(targets, store, *, metrics=None, local=(), interval=1.0, clock=None):
    return Scraper(
        targets if callable(targets) else lambda: targets,
        local=local,
        metrics=metrics or Metrics(),
        store=store,
        clock=clock or ManualClock(T0),
        interval=interval,
    )


async def scrape(made, *, deadline=5.0):
    async with open_session(deadline) as session:
        await made.scrape(session)


async def test_pages_and_own_metrics_become_one_batch(pages):
    local, store = Metrics(), ListStore()
    local.gauge(catalog.REPLICAS).labels("m", "serving").set(2)
    target = pages.target("r1", 'warmfront_replica_slots{model="m"} 8\n')
    await scrape(scraper([target], store, local=[local]))

    assert len(store.batches) == 1
    assert {sample.at for sample in store.batches[0]} == {T0}
    assert store.values("warmfront_replica_slots", job="replica", instance="r1") == [8]
    assert store.values("warmfront_replicas", job="warmfront", instance="localhost") == [2]
    assert store.values("warmfront_scrape_up", job="replica", instance="r1") == [1]
    assert len(store.values("warmfront_scrape_duration_seconds", instance="r1")) == 1


async def test_metrics_that_are_also_local_are_kept_once(pages):
    metrics, store = Metrics(), ListStore()
    metrics.counter(catalog.STORE_ERRORS).inc()
    await scrape(scraper([], store, metrics=metrics, local=[metrics]))

    assert store.values("warmfront_store_errors_total") == [1]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(None, id="it hangs"),
        pytest.param({"status": 500}, id="it fails"),
        pytest.param({"status": 302, "headers": {"Location": "/up"}}, id="it leads away"),
        pytest.param("warmfront_a 1\nwarmfront_b{ 2\n", id="half a page"),
        pytest.param(b"warmfront_a \xff\n", id="not text"),
        pytest.param("#" * 17_000_000, id="far too large"),
    ],
)
async def test_one_failing_target_never_hides_the_others(pages, body):
    store = ListStore()
    down, up = pages.target("down", body), pages.target("up", "warmfront_a 1\n")
    await scrape(scraper([down, up], store), deadline=0.5)

    assert store.values("warmfront_a") == [1]
    assert store.values("warmfront_scrape_up", instance="up") == [1]
    assert store.values("warmfront_scrape_up", instance="down") == [0]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/metrics", "nonsense", "http://[", ""])
async def test_a_target_that_is_not_there_is_down(url):
    store = ListStore()
    await scrape(scraper([Target("replica", "r1", url)], store))

    assert store.values("warmfront_scrape_up", instance="r1") == [0]


async def test_a_target_that_vanished_has_no_health(pages):
    store, targets = ListStore(), [pages.target("r1", "")]
    made = scraper(lambda: list(targets), store)
    await scrape(made)
    targets.clear()
    await scrape(made)

    assert store.values("warmfront_scrape_up") == []


async def test_only_names_of_the_catalogue_are_kept_unless_asked(pages):
    page = "python_gc_total 1\nvllm:running 2\nwarmfront_a 3\n"
    store = ListStore()
    ours = pages.target("ours", page)
    theirs = pages.target("theirs", page, prefixes=("vllm:",))
    await scrape(scraper([ours, theirs], store))

    assert store.values("python_gc_total") == []
    assert store.values("warmfront_a") == [3]
    assert store.values("vllm:running", instance="theirs") == [2]


def test_the_prefixes_cover_the_catalogue():
    assert all(name.startswith(CATALOG_PREFIXES) for name in CATALOG)


async def test_a_target_that_stays_down_is_logged_once_and_again_when_up(pages):
    target = pages.target("r1", {"status": 500})
    made = scraper([target], ListStore())
    with capture_logs() as logs:
        await scrape(made)
        await scrape(made)
        pages.bodies["/r1"] = ""
        await scrape(made)
        await scrape(made)

    assert [(log["event"], log["instance"]) for log in logs] == [
        ("target is down", "r1"),
        ("target is up", "r1"),
    ]


async def test_an_outage_of_the_store_is_counted_each_time_and_logged_once():
    metrics, store = Metrics(), ListStore()
    made = scraper([], store, metrics=metrics)
    with capture_logs() as logs:
        store.is_down = True
        await scrape(made)
        await scrape(made)
        store.is_down = False
        await scrape(made)
        await scrape(made)

    assert store.values("warmfront_store_errors_total") == [2]
    assert [log["event"] for log in logs] == [
        "metrics store takes no samples",
        "metrics store takes samples again",
    ]
    assert logs[0]["reason"] == "disk full"
    assert logs[1]["lost"] == 2


async def until(is_true, *, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not is_true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(made):
    task = asyncio.create_task(made.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_it_scrapes_again_and_again_at_multiples_of_the_interval(pages):
    store, clock = ListStore(), SystemClock()
    made = scraper([pages.target("r1", "")], store, interval=0.05, clock=clock)
    async with running(made):
        await until(lambda: len(store.batches) >= 4)
    moments = [batch[0].at // 0.05 for batch in store.batches]

    assert len(set(moments)) == len(moments)
    assert pages.asked.count("/r1") >= 4


async def test_a_turn_that_fails_is_counted_and_the_next_one_goes_on():
    metrics, store = Metrics(), ListStore()

    def targets():
        if not metrics.samples(T0):
            raise RuntimeError("the table is gone")
        return []

    made = scraper(targets, store, metrics=metrics, interval=0.05, clock=SystemClock())
    with capture_logs() as logs:
        async with running(made):
            await until(lambda: store.batches)

    assert store.values("warmfront_scrape_errors_total") == [1]
    assert [log["event"] for log in logs] == ["scrape failed"]


async def test_a_target_that_hangs_does_not_stop_the_rhythm(pages):
    store = ListStore()
    made = scraper([pages.target("r1", None)], store, interval=0.1, clock=SystemClock())
    async with running(made):
        await until(lambda: len(store.batches) >= 2)

    assert store.values("warmfront_scrape_up", instance="r1") == [0]
