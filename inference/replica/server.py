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
from inference.replica.pages import Pages
from inference.replica.tensors import TensorApi
from inference.replica.traffic import Traffic

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_BODY_SECONDS = 30.0  # for a client to send its request


class ReplicaServer:
    """The routes of one replica."""

    def __init__(
        self,
        host: Host,
        traffic: Traffic,
        *,
        pages: Pages,
        completions: Completions,
        admin: AdminApi,
    ) -> None:
        self._host = host
        self._traffic = traffic
        self._pages = pages
        self._completions = completions
        self._admin = admin

    def app(self) -> web.Application:
        """Build the application."""
        app = web.Application(
            middlewares=[error_shaper("replica")], client_max_size=MAX_BODY_BYTES
        )
        app.router.add_routes(
            [
                *self._pages.routes(),
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


async def _arrived(http: web.Request) -> None:
    """Read the body, which the request keeps: one that is half here is nothing to wait for."""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            await http.read()
    except TimeoutError as error:
        message = f"The request did not arrive in full within {_BODY_SECONDS:g} s."
        raise ApiError(408, message, code="request_timeout") from error
