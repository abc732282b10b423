import gzip
import json
import re
from importlib.resources import files

import aiohttp
import pytest

from dashboards.console.console import Console
from telemetry.clock import ManualClock

pytestmark = pytest.mark.asyncio(loop_scope="session")


class BrokenReader:
    def _refuse(self, *_, **__):
        raise RuntimeError("nothing <b>here</b>")

    latest = gauge = increase = _refuse


async def get(url: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(url, headers=headers) as response,
    ):
        return response, await response.read()


async def test_the_page_names_only_files_that_are_served(serve, busy_console):
    url = (await serve(busy_console)).url
    _, page = await get(url, **{"Accept-Encoding": "identity"})
    own = set(re.findall(r'(?:src|href)="([^"]+)"', page.decode()))
    modules = {one.name for one in (files("dashboards.console") / "page").iterdir()}

    for path in own | {f"assets/{name}" for name in modules}:
        response, body = await get(f"{url}/{path}")
        assert response.status == 200, path
        assert body


async def test_the_snapshot_is_strict_json(serve, busy_console):
    url = (await serve(busy_console)).url

    response, body = await get(f"{url}/api/snapshot")

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    shown = json.loads(body, parse_constant=refuse)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.content_type == "application/json"
    assert shown["settings"]["model"] == "warmfront-tiny"
    assert len(shown["times"]) == len(shown["demand"]["rate"])
    assert None in shown["demand"]["rate"]
    assert shown["decisions"][0]["numbers"] == {
        "demand_rps": 13.8, "forecast_high_rps": 14.9, "capacity_rps": 5.2,
    }  # fmt: skip


async def test_what_cannot_be_read_says_so_in_the_snapshot(serve, world):
    console = Console(BrokenReader(), settings=world.settings, clock=ManualClock(world.now))
    url = (await serve(console)).url

    response, body = await get(f"{url}/api/snapshot")

    assert response.status == 200
    assert json.loads(body)["demand"] == {"unavailable": "nothing <b>here</b>"}


@pytest.mark.parametrize(
    "path", ["/", "/api/snapshot", "/assets/console.js", "/no/such", "/metrics"]
)
async def test_every_answer_forbids_what_the_page_does_not_need(serve, busy_console, path):
    response, _ = await get((await serve(busy_console)).url + path)

    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"


async def test_plotly_is_compressed_where_that_is_understood(serve, busy_console):
    url = (await serve(busy_console)).url + "/assets/plotly.js"

    _, plain = await get(url, **{"Accept-Encoding": "identity"})
    response, compressed = await get(url, **{"Accept-Encoding": "gzip"})

    assert response.headers["Content-Encoding"] == "gzip"
    assert len(compressed) < len(plain) / 2
    assert gzip.decompress(compressed) == plain


async def test_a_file_that_is_known_is_not_sent_again(serve, busy_console):
    url = (await serve(busy_console)).url + "/assets/console.css"
    first, _ = await get(url)

    again, body = await get(url, **{"If-None-Match": first.headers["ETag"]})

    assert (again.status, body) == (304, b"")


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2Fserver.py", "%2e%2e%2fserver.py", "..%2f..%2f..%2fpyproject.toml"]
)
async def test_only_the_pages_own_files_are_served(serve, busy_console, name):
    response, _ = await get(f"{(await serve(busy_console)).url}/assets/{name}")

    assert response.status == 404


async def test_metrics_are_shown_in_the_format_that_is_asked_for(serve, busy_console):
    url = (await serve(busy_console)).url + "/metrics"

    plain, _ = await get(url, Accept="text/plain")
    open_metrics, body = await get(url, Accept="application/openmetrics-text; version=1.0.0")

    assert plain.content_type == "text/plain"
    assert open_metrics.content_type == "application/openmetrics-text"
    assert body.endswith(b"# EOF\n")


async def test_health_is_fine_while_the_process_lives(serve, world):
    console = Console(BrokenReader(), settings=world.settings, clock=ManualClock(world.now))

    response, body = await get((await serve(console)).url + "/health")

    assert (response.status, json.loads(body)) == (200, {"status": "ok"})


async def test_the_console_only_reads(serve, busy_console):
    url = (await serve(busy_console)).url

    async with aiohttp.ClientSession() as session, session.post(f"{url}/api/snapshot") as response:
        assert response.status == 405
