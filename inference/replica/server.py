"""The HTTP server of one replica: what clients ask, what scrapers read, what the admin orders."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps

from aiohttp import hdrs, web

from inference.api import MAX_BODY_BYTES
from inference.errors import ApiError, error_shaper
from inference.replica.admin import AdminApi
from inference.replica.completions import Completions
from inference.replica.host import Host
from inference.replica.lifecycle import Lifecycle
from inference.replica.metrics import ReplicaMetrics
from inference.replica.tensors import TensorApi
from inference.replica.traffic import Traffic
from telemetry.lifecycle import ReplicaState

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_BODY_SECONDS = 30.0  # for a client to send its request


class ReplicaServer:
    """The routes of one replica."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        host: Host,
        traffic: Traffic,
        metrics: ReplicaMetrics,
        *,
        completions: Completions,
        admin: AdminApi,
    ) -> None:
        self._lifecycle = lifecycle
        self._host = host
        self._traffic = traffic
        self._metrics = metrics
        self._completions = completions
        self._admin = admin

    def app(self) -> web.Application:
        """Build the application."""
        app = web.Application(
            middlewares=[error_shaper("replica")], client_max_size=MAX_BODY_BYTES
        )
        app.router.add_routes(
            [
                web.get("/health", self._health),
                web.get("/ready", self._ready),
                web.get("/metrics", self._page),
                web.get("/v1/models", self._models),
                web.post("/v1/chat/completions", self._admitted(self._completions.chat)),
                web.post("/v1/completions", self._admitted(self._completions.text)),
            ]
        )
        for route in TensorApi(self._host.models.find_tensor).routes():
            takes_work = route.method == hdrs.METH_POST
            handler = self._admitted(route.handler) if takes_work else route.handler
            app.router.add_route(route.method, route.path, handler)
        app.router.add_routes(self._admin.routes())
        return app

    def _admitted(self, handler: _Handler) -> _Handler:
        """Count the requests to a handler as in flight; refuse them unless serving."""

        @wraps(handler)
        async def answer(http: web.Request) -> web.StreamResponse:
            await _arrived(http)
            with self._traffic.admitted():
                return await handler(http)

        return answer

    async def _health(self, _http: web.Request) -> web.Response:
        identity, standings = self._lifecycle.identity, self._host.standings().values()
        return web.json_response(
            {
                "id": identity.id,
                "model": identity.model,
                "state": self._lifecycle.state.value,
                "since": self._lifecycle.since,
                "running": sum(one.running for one in standings),
                "waiting": sum(one.waiting for one in standings),
                "slots": self._lifecycle.slots,
            }
        )

    async def _ready(self, _http: web.Request) -> web.Response:
        state = self._lifecycle.state
        is_serving = state is ReplicaState.SERVING
        return web.json_response({"state": state.value}, status=200 if is_serving else 503)

    async def _page(self, http: web.Request) -> web.Response:
        accept = http.headers.get("Accept", "")
        body, content_type = self._metrics.page(self._host.standings(), accept)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _models(self, _http: web.Request) -> web.Response:
        created = int(self._lifecycle.since)
        data = [
            {"id": name, "object": "model", "created": created, "owned_by": "warmfront"}
            for name in self._host.models.names()
        ]
        return web.json_response({"object": "list", "data": data})


async def _arrived(http: web.Request) -> None:
    """Read the body, which the request keeps: one that is half here is nothing to wait for."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            await http.read()
    except TimeoutError as error:
        message = f"The request did not arrive in full within {_BODY_SECONDS:g} s."
        raise ApiError(408, message, code="request_timeout") from error
