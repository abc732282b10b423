"""The HTTP server of one replica: completions, health, metrics, and the admin's orders."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from inference.api import LifecycleRequest, parse_body
from inference.engine.engine import EngineStats
from inference.errors import ApiError, error_shaper
from inference.replica.completions import Completions
from inference.replica.lifecycle import IllegalMoveError, Lifecycle
from inference.replica.metrics import ReplicaMetrics
from telemetry.lifecycle import ReplicaState

MAX_BODY_BYTES = 4 * 1024**2
_RETRY_SECONDS = 1

_log = structlog.get_logger(__name__)


class ReplicaServer:
    """The routes of one replica; before `completions` are set, the model is still loading."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        metrics: ReplicaMetrics,
        *,
        admin_key: str,
        drain: Callable[[], None],
    ) -> None:
        self.completions: Completions | None = None
        self._drain = drain
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._admin_key = admin_key.encode()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def app(self) -> web.Application:
        """Build the application."""
        app = web.Application(
            middlewares=[error_shaper("replica")], client_max_size=MAX_BODY_BYTES
        )
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._page)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._text)
        app.router.add_post("/admin/lifecycle", self._admin)
        return app

    async def idle(self) -> None:
        """Wait until no completion is in flight."""
        await self._idle.wait()

    async def _chat(self, http: web.Request) -> web.StreamResponse:
        async with self._serving() as completions:
            return await completions.chat(http)

    async def _text(self, http: web.Request) -> web.StreamResponse:
        async with self._serving() as completions:
            return await completions.text(http)

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[Completions]:
        """Count a completion as in flight; refuse it in every state but `serving`."""
        state = self._lifecycle.state
        if self.completions is None or state is not ReplicaState.SERVING:
            raise ApiError(
                503,
                f"The replica is {state.value}, not serving; try another one.",
                kind="server_error",
                code="replica_not_serving",
                retry_after=_RETRY_SECONDS,
            )
        self._in_flight += 1
        self._idle.clear()
        try:
            yield self.completions
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def _health(self, _http: web.Request) -> web.Response:
        stats, identity = self._stats(), self._lifecycle.identity
        return web.json_response(
            {
                "id": identity.id,
                "model": identity.model,
                "state": self._lifecycle.state.value,
                "since": self._lifecycle.since,
                "running": stats.running if stats else 0,
                "waiting": stats.waiting if stats else 0,
                "slots": identity.slots,
            }
        )

    async def _ready(self, _http: web.Request) -> web.Response:
        state = self._lifecycle.state
        is_serving = state is ReplicaState.SERVING
        return web.json_response({"state": state.value}, status=200 if is_serving else 503)

    async def _page(self, http: web.Request) -> web.Response:
        accept = http.headers.get("Accept", "")
        body, content_type = self._metrics.page(self._stats(), accept)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _models(self, _http: web.Request) -> web.Response:
        model = {
            "id": self._lifecycle.identity.model,
            "object": "model",
            "created": int(self._lifecycle.since),
            "owned_by": "warmfront",
        }
        return web.json_response({"object": "list", "data": [model]})

    async def _admin(self, http: web.Request) -> web.Response:
        self._authorise(http)
        wanted = ReplicaState(parse_body(LifecycleRequest, await http.read()).state)
        try:
            self._lifecycle.move(wanted)
        except IllegalMoveError as error:
            raise ApiError(409, str(error), param="state", code="illegal_move") from error
        if wanted is ReplicaState.DRAINING:
            self._drain()
        return web.json_response({"state": self._lifecycle.state.value})

    def _authorise(self, http: web.Request) -> None:
        sent = http.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(sent, b"Bearer " + self._admin_key):
            raise ApiError(401, "The admin key is missing or wrong.", code="invalid_api_key")

    def _stats(self) -> EngineStats | None:
        return self.completions.stats() if self.completions else None
