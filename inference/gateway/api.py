"""The gateway's HTTP API: OpenAI's paths, health, and metrics, as one application."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import structlog
from aiohttp import web
from opentelemetry.trace import Tracer

from inference.errors import error_shaper
from inference.gateway.completions import Completions
from inference.gateway.errors import UnknownModelError
from inference.gateway.holding import WaitingRoom
from inference.gateway.limits import GatewayLimits
from inference.gateway.meters import Meters
from inference.gateway.proxy import Proxy
from inference.gateway.refresh import Refresher
from inference.gateway.relay import Relay
from inference.gateway.roster import Roster, Table
from inference.gateway.upstream import Upstream
from telemetry.clock import Clock
from telemetry.publish import Metrics

_log = structlog.get_logger(__name__)


def _random_id() -> str:
    return f"req-{uuid.uuid4().hex}"


def build_gateway(
    *,
    table: Table,
    metrics: Metrics,
    tracer: Tracer,
    clock: Clock,
    models: Iterable[str] = (),
    limits: GatewayLimits | None = None,
    new_request_id: Callable[[], str] = _random_id,
) -> web.Application:
    """Build the gateway; run it with `inference.gateway.server.serve`.

    `models` are known, and listed, before any replica of theirs has started.
    """
    limits = limits or GatewayLimits()
    roster = Roster(models, clock=clock, shun_seconds=limits.shun_seconds)
    meters = Meters(metrics, ttft_objective_seconds=limits.ttft_objective_seconds)
    upstream = Upstream(limits)
    proxy = Proxy(
        roster,
        WaitingRoom(roster, meters, limits=limits, clock=clock),
        upstream,
        Relay(clock=clock, limits=limits),
        meters,
        limits=limits,
        clock=clock,
    )
    completions = Completions(
        roster,
        proxy,
        meters,
        tracer=tracer,
        clock=clock,
        limits=limits,
        new_request_id=new_request_id,
    )
    app = web.Application(
        middlewares=[error_shaper("gateway")], client_max_size=limits.max_body_bytes
    )
    _add_routes(app, completions, _Pages(roster, metrics))
    for model in roster.models:
        meters.introduce(model)
    refresher = Refresher(table, roster, meters, seconds=limits.refresh_seconds)
    app.cleanup_ctx.append(_lifespan(refresher, upstream))
    app.on_shutdown.append(_close(roster))
    return app


def _add_routes(app: web.Application, completions: Completions, pages: "_Pages") -> None:
    app.router.add_post("/v1/chat/completions", completions.chat)
    app.router.add_post("/v1/completions", completions.text)
    app.router.add_get("/v1/models", pages.models)
    app.router.add_get("/v1/models/{model:.+}", pages.model)
    app.router.add_get("/health", pages.health)
    app.router.add_get("/ready", pages.ready)
    app.router.add_get("/metrics", pages.metrics)


class _Pages:
    """What can be read about the gateway."""

    def __init__(self, roster: Roster, metrics: Metrics) -> None:
        self._roster = roster
        self._metrics = metrics

    async def models(self, _request: web.Request) -> web.Response:
        data = [self._card(model) for model in sorted(self._roster.models)]
        return web.json_response({"object": "list", "data": data})

    async def model(self, request: web.Request) -> web.Response:
        model = request.match_info["model"]
        if model not in self._roster.models:
            raise UnknownModelError(
                f"Model {model[:100]!r} is not known here; GET /v1/models lists them.",
                param="model",
            )
        return web.json_response(self._card(model))

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(self, _request: web.Request) -> web.Response:
        serving = {model: self._roster.serving(model) for model in sorted(self._roster.models)}
        is_ready = any(serving.values())
        body = {"status": "ready" if is_ready else "no replica is serving", "serving": serving}
        return web.json_response(body, status=200 if is_ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _card(self, model: str) -> dict[str, str | int]:
        created = int(self._roster.models[model])
        return {"id": model, "object": "model", "created": created, "owned_by": "warmfront"}


def _lifespan(
    refresher: Refresher, upstream: Upstream
) -> Callable[[web.Application], AsyncIterator[None]]:
    async def lifespan(_app: web.Application) -> AsyncIterator[None]:
        async with upstream, refresher.running():
            yield

    return lifespan


def _close(roster: Roster) -> Callable[[web.Application], Awaitable[None]]:
    async def close(_app: web.Application) -> None:
        roster.close()

    return close
