import asyncio
import json
import shutil
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from inference.gateway.meters import Meters
from inference.gateway.objectives import Objectives
from telemetry.catalog import TIME_TO_FIRST_TOKEN
from telemetry.publish import Metrics
from tests.inference.gateway.exchanges import exchange

TRACE = "0af7651916cd43dd8448eb211c80319c"


@asynccontextmanager
async def page_of(metrics):
    """Serve the page as the gateway does; yield its port."""

    async def show(request):
        body, content_type = metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", show)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def prometheus_over(target, folder):
    """Run a real Prometheus that scrapes one port; yield its address."""
    scrape = {"job_name": "gateway", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
    config = {"global": {"scrape_interval": "200ms"}, "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=error",
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def exemplars_of(url, name):
    """Ask until Prometheus knows of some."""
    query = {"query": name, "start": "0", "end": "4102444800"}
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while True:
            try:
                async with session.get(f"{url}/api/v1/query_exemplars", params=query) as answer:
                    if answer.ok and (found := (await answer.json())["data"]):
                        return found
            except aiohttp.ClientError:
                pass  # not up yet
            await asyncio.sleep(0.1)


@pytest.mark.prometheus
async def test_a_real_prometheus_leads_from_a_latency_to_its_trace(tmp_path):
    if shutil.which("prometheus") is None:
        pytest.skip("needs prometheus")
    metrics = Metrics()
    meters = Meters(metrics, objectives=Objectives())
    meters.finished(exchange(), was_short=False, exemplar={"trace_id": TRACE})
    async with page_of(metrics) as target, prometheus_over(target, tmp_path) as url:
        (found,) = await exemplars_of(url, f"{TIME_TO_FIRST_TOKEN.name}_bucket")

    assert found["seriesLabels"]["gen_ai_request_model"] == "tiny"
    (exemplar,) = found["exemplars"]
    assert exemplar["labels"] == {"trace_id": TRACE}
    assert float(exemplar["value"]) == 0.5
