import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from exporter.collect import Collector
from exporter.reading import Identity, Reading
from exporter.server import create_app
from telemetry.clock import ManualClock

READING = Reading(Identity(0, "GPU-1", "Fake", "", "nvidia0"), power_watts=300.0)


class SlowableSource:
    name = "slowable"

    def __init__(self) -> None:
        self.released = threading.Event()
        self.released.set()

    def read(self) -> Sequence[Reading]:
        assert self.released.wait(30)
        return [READING]


@asynccontextmanager
async def client_of(collector: Collector) -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(create_app(collector, hostname="node-1"))) as client:
        yield client


async def names_on(client: TestClient) -> dict[str, float]:
    async with client.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await response.text()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_it_is_ready_only_after_the_first_collection() -> None:
    collector = Collector(SlowableSource(), ManualClock())
    async with client_of(collector) as client:
        async with client.get("/ready") as response:
            assert response.status == 503
        await collector.collect()
        async with client.get("/ready") as response:
            assert response.status == 200


async def test_it_is_healthy_while_it_runs_and_names_its_source() -> None:
    async with (
        client_of(Collector(SlowableSource(), ManualClock())) as client,
        client.get("/health") as response,
    ):
        assert response.status == 200
        assert await response.json() == {"status": "ok", "source": "slowable"}


async def test_the_page_has_devices_and_how_fresh_they_are() -> None:
    clock = ManualClock()
    collector = Collector(SlowableSource(), clock)
    await collector.collect()
    clock.advance(4)
    async with client_of(collector) as client:
        found = await names_on(client)

    assert found["DCGM_FI_DEV_POWER_USAGE"] == 300.0
    assert found["warmfront_gpu_up"] == 1.0
    assert found["warmfront_gpu_collect_age_seconds"] == 4.0
    assert found["warmfront_gpu_collect_errors_total"] == 0.0


async def test_before_the_first_collection_the_page_has_no_device() -> None:
    async with client_of(Collector(SlowableSource(), ManualClock())) as client:
        assert await names_on(client) == {"warmfront_gpu_collect_errors_total": 0.0}


async def test_a_scrape_is_answered_while_the_source_hangs() -> None:
    source = SlowableSource()
    source.released.clear()
    collector = Collector(source, ManualClock())
    waiting = asyncio.create_task(collector.collect())
    async with client_of(collector) as client:
        assert "warmfront_gpu_collect_errors_total" in await names_on(client)
    source.released.set()
    await waiting
