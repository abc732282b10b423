"""The exporter's HTTP pages: /metrics, /health and /ready."""

from collections.abc import Iterator
from typing import NoReturn

from aiohttp import web

from exporter import exposition, names
from exporter.collect import Collector
from telemetry import catalog
from telemetry.series import Sample


def create_app(collector: Collector, *, hostname: str) -> web.Application:
    """Build the pages over one collector; who runs the collector is somebody else's business."""

    async def metrics(_: web.Request) -> web.Response:
        page = exposition.render(
            [
                *names.samples(collector.snapshot.readings, hostname=hostname, at=0.0),
                *_collection(collector),
            ]
        )
        return web.Response(
            body=page.encode(),
            headers={"Content-Type": exposition.CONTENT_TYPE, "Cache-Control": "no-store"},
        )

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "source": collector.source_name})

    async def ready(_: web.Request) -> web.Response:
        if collector.age_seconds is None:
            return web.json_response({"status": "no collection has succeeded yet"}, status=503)
        return web.json_response({"status": "ready"})

    app = web.Application()
    app.add_routes(
        [web.get("/metrics", metrics), web.get("/health", health), web.get("/ready", ready)]
    )
    return app


async def serve(collector: Collector, *, host: str, port: int, hostname: str) -> NoReturn:
    """Collect and serve until cancelled."""
    runner = web.AppRunner(create_app(collector, hostname=hostname), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        await collector.run()
    finally:
        await runner.cleanup()


def _collection(collector: Collector) -> Iterator[Sample]:
    """Tell how the collection itself is doing; a page carries no times of its own."""
    labels = {"source": collector.source_name}
    snapshot, age = collector.snapshot, collector.age_seconds
    if snapshot.duration_seconds is not None:
        yield Sample(catalog.GPU_COLLECT_DURATION.name, labels, 0.0, snapshot.duration_seconds)
    if age is not None:
        yield Sample(catalog.GPU_COLLECT_AGE.name, labels, 0.0, age)
    yield Sample(catalog.GPU_COLLECT_ERRORS.name, labels, 0.0, float(snapshot.errors))
