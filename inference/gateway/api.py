"""The gateway as one application: the one place where its parts are made and joined."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from aiohttp import web

from inference.errors import error_shaper
from inference.gateway.admission.line import Line
from inference.gateway.admission.meters import AdmissionMeters
from inference.gateway.admission.work import pace_of
from inference.gateway.answering import Answering
from inference.gateway.coalescing.coalescing import Coalescing
from inference.gateway.completions import Completions
from inference.gateway.drain import Drain
from inference.gateway.intake import Intake, random_id
from inference.gateway.keepalive import KeepAlive
from inference.gateway.meters import Meters
from inference.gateway.pages import Pages
from inference.gateway.proxy import Proxy
from inference.gateway.relay import Relay
from inference.gateway.rollout.admin import RolloutApi
from inference.gateway.rollout.controller import Controller
from inference.gateway.rollout.rollouts import Rollouts
from inference.gateway.routing.hedging import Hedging
from inference.gateway.routing.load import ModelLoad
from inference.gateway.routing.meters import RoutingMeters
from inference.gateway.routing.refresh import Refresher, Table
from inference.gateway.routing.retry_budget import RetryBudget
from inference.gateway.routing.roster import Roster
from inference.gateway.second_tries import SecondTries
from inference.gateway.server import DRAIN
from inference.gateway.settings import GatewaySettings
from inference.gateway.spans import Spans
from inference.gateway.tenancy.caller import Caller, Scope
from inference.gateway.tenancy.keys import Keyring
from inference.gateway.tenancy.rate_limits import RateLimits
from inference.gateway.upstream import Upstream
from telemetry.clock import Clock
from telemetry.publish import Metrics
from telemetry.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the gateway is given by whoever runs it."""

    table: Table
    metrics: Metrics
    tracing: Tracing
    clock: Clock
    key_file: Path | None = None
    admin_key: str | None = None  # opens /admin, and is in no file of keys
    seed: int | None = None  # of ties and jitter


def build_gateway(
    given: Surroundings,
    *,
    models: Iterable[str] = (),
    settings: GatewaySettings | None = None,
    new_request_id: Callable[[], str] = random_id,
) -> web.Application:
    """Build the gateway; run it with `inference.gateway.server.serve`.

    `models` are known, and listed, before any replica of theirs has started.
    """
    parts = _Parts(given, list(models), settings or GatewaySettings(), new_request_id)
    app = web.Application(
        middlewares=[error_shaper("gateway")],
        client_max_size=parts.settings.limits.max_body_bytes,
    )
    _add_routes(app, parts)
    app[DRAIN] = parts.drain
    app.cleanup_ctx.append(_lifespan(parts))
    return app


class _Parts:
    """The parts of one gateway, each made from those above it."""

    def __init__(
        self,
        given: Surroundings,
        models: list[str],
        settings: GatewaySettings,
        new_request_id: Callable[[], str],
    ) -> None:
        metrics, clock = given.metrics, given.clock
        rng = np.random.default_rng(given.seed)
        self.given, self.settings = given, settings
        self.meters = Meters(
            metrics, objectives=settings.objectives, region=settings.routing.region
        )
        self.routing_meters = RoutingMeters(metrics, region=settings.routing.region)
        self.roster = Roster(
            models, clock=clock, meters=self.routing_meters, rng=rng, settings=settings.routing
        )
        admission_meters = AdmissionMeters(metrics)
        self.line = Line(
            self.roster, admission_meters, settings=settings.admission, clock=clock,
            jitter=rng.random,
        )  # fmt: skip
        self.roster.on_load(self._learn_pace)
        self.drain = Drain(self.meters, can_serve=self._can_serve, give_up=self._give_up)
        self.keys = Keyring(
            given.key_file, clock=clock, metrics=metrics, settings=settings.tenancy,
            given=_admin(given.admin_key),
        )  # fmt: skip
        self.coalescing = Coalescing(settings.coalescing, metrics=metrics, now=clock.monotonic)
        self.rollouts = Rollouts(metrics, clock=clock, settings=settings.rollout)
        self.controller = Controller(
            self.rollouts, self.roster, clock=clock, settings=settings.rollout
        )
        self.keepalive = KeepAlive(
            quiet_seconds=settings.limits.keepalive_seconds,
            stuck_seconds=settings.limits.client_seconds,
            clock=clock,
        )
        self.upstream = Upstream(settings.limits)
        self.refresher = Refresher(
            given.table, self.roster, self.routing_meters, introduce=self.introduce, clock=clock,
            settings=settings.routing,
        )  # fmt: skip
        self.completions = self._completions(admission_meters, new_request_id)
        for model in models:
            self.introduce(model)

    def introduce(self, model: str) -> None:
        """Make the series of a model that is new here."""
        self.meters.introduce(model)
        self.line.introduce([model])
        self.coalescing.introduce(model)

    def _completions(
        self, admission_meters: AdmissionMeters, new_request_id: Callable[[], str]
    ) -> Completions:
        limits, clock = self.settings.limits, self.given.clock
        answering = Answering(
            roster=self.roster,
            line=self.line,
            proxy=self._proxy(),
            coalescing=self.coalescing,
            rollouts=self.rollouts,
            quotas=RateLimits(self.settings.tenancy),
            meters=admission_meters,
            clock=clock,
        )
        tracing = self.given.tracing
        return Completions(
            Intake(self.keys, self.roster, limits=limits, new_request_id=new_request_id),
            answering,
            self.meters,
            Spans(tracing.tracer, is_exported=tracing.is_exported),
            roster=self.roster,
            drain=self.drain,
            keepalive=self.keepalive,
            clock=clock,
        )

    def _proxy(self) -> Proxy:
        limits, routing, clock = self.settings.limits, self.settings.routing, self.given.clock
        return Proxy(
            self.roster,
            self.line,
            Relay(self.upstream, clock=clock),
            self.meters,
            second_tries=SecondTries(
                RetryBudget(routing.retry), self.routing_meters,
                max_losses=limits.max_losses, clock=clock,
            ),
            hedging=Hedging(routing.hedge),
            limits=limits,
            clock=clock,
        )  # fmt: skip

    def _can_serve(self) -> bool:
        return any(self.roster.serving(model) for model in self.roster.models)

    def _give_up(self) -> None:
        self.roster.close()
        self.line.close()

    def _learn_pace(self, model: str, load: ModelLoad) -> None:
        one = load.iteration
        pace = one and pace_of(
            fixed=one.fixed,
            decode_token=one.decode_token,
            prefill_token=one.prefill_token,
            slots=load.slots,
        )
        if pace:
            self.line.learn_pace(model, pace)


def _admin(key: str | None) -> Mapping[str, Caller]:
    scopes = frozenset({Scope.ADMIN, Scope.INFERENCE})
    return {} if key is None else {key: Caller("admin", scopes)}


def _add_routes(app: web.Application, parts: _Parts) -> None:
    completions = parts.completions
    app.router.add_post("/v1/chat/completions", completions.chat)
    app.router.add_post("/v1/completions", completions.text)
    app.router.add_post("/v1/embeddings", completions.embeddings)
    pages = Pages(parts.roster, parts.drain, parts.given.metrics, keys=parts.keys)
    app.router.add_routes(pages.routes(has_vllm_names=parts.settings.has_vllm_names))

    def authorise(http: web.Request) -> None:
        parts.keys.require(parts.keys.caller(http.headers), Scope.ADMIN)

    admin = RolloutApi(parts.rollouts, parts.controller, authorise=authorise)
    app.router.add_routes(admin.routes())


def _lifespan(parts: _Parts) -> Callable[[web.Application], AsyncIterator[None]]:
    async def lifespan(_app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for part in (
                parts.upstream,
                parts.coalescing,
                parts.refresher.running(),
                parts.controller.running(),
                parts.keepalive.running(),
                parts.keys.watching(),
            ):
                await stack.enter_async_context(part)
            yield

    return lifespan
