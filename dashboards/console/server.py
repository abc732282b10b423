"""The console over HTTP: one page, the JSON behind it, and the daemon's own metrics.

It only reads. The page runs under a policy that lets nothing in from anywhere else: no inline
script, no inline style, no other origin.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from dashboards.console.assets import Asset, load_assets
from dashboards.console.console import Console, ConsoleError
from dashboards.console.snapshot import Snapshot

MetricsPage = Callable[[str], tuple[bytes, str]]  # Accept header -> page and its content type

_CONSOLE = web.AppKey("console", Console)
_ASSETS = web.AppKey("assets", dict[str, Asset])
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def build_console(console: Console, metrics_page: MetricsPage) -> web.Application:
    """Build the console's web application."""
    app = web.Application()
    app[_CONSOLE] = console
    app.router.add_get("/", _page)
    app.router.add_get("/assets/{name}", _asset)
    app.router.add_get("/api/snapshot", _SnapshotBody(console).handle)
    app.router.add_get("/health", _health)
    app.router.add_get("/metrics", _metrics_handler(metrics_page))
    app.on_startup.append(_load)
    app.on_response_prepare.append(_secure)
    app.on_cleanup.append(_close)
    return app


class _SnapshotBody:
    """The newest snapshot as bytes, written once for everybody who asks for it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._snapshot: Snapshot | None = None
        self._body = b""

    async def handle(self, _: web.Request) -> web.Response:
        """Answer with the stack as it is now, or 503 and the reason."""
        try:
            snapshot = await self._console.snapshot()
        except ConsoleError as error:
            return web.json_response({"error": str(error)}, status=503)
        if snapshot is not self._snapshot:
            self._body = await asyncio.to_thread(_encoded, snapshot)
            self._snapshot = snapshot
        return web.Response(
            body=self._body,
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


def _encoded(snapshot: Snapshot) -> bytes:
    return json.dumps(snapshot.to_json(), allow_nan=False, separators=(",", ":")).encode()


async def _page(request: web.Request) -> web.Response:
    return _send(request, request.app[_ASSETS]["index.html"])


async def _asset(request: web.Request) -> web.Response:
    asset = request.app[_ASSETS].get(request.match_info["name"])
    if asset is None:
        raise web.HTTPNotFound(text="There is no such file here.")
    return _send(request, asset)


def _send(request: web.Request, asset: Asset) -> web.Response:
    """Send a file, compressed where that is understood, or nothing where it is known."""
    headers = {"Cache-Control": "no-cache", "ETag": f'"{asset.etag}"', "Vary": "Accept-Encoding"}
    known = request.if_none_match or ()
    if any(tag.value in {asset.etag, "*"} for tag in known):
        return web.Response(status=304, headers=headers)
    is_compressed = "gzip" in request.headers.get("Accept-Encoding", "")
    if is_compressed:
        headers["Content-Encoding"] = "gzip"
    return web.Response(
        body=asset.compressed if is_compressed else asset.body,
        content_type=asset.content_type,
        charset="utf-8",
        headers=headers,
    )


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def _metrics_handler(
    metrics_page: MetricsPage,
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def metrics(request: web.Request) -> web.Response:
        body, content_type = metrics_page(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    return metrics


async def _load(app: web.Application) -> None:
    app[_ASSETS] = await asyncio.to_thread(load_assets)


async def _secure(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


async def _close(app: web.Application) -> None:
    await app[_CONSOLE].close()
