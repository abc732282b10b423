"""Answering: quota -> shared answer -> version -> line -> replica, and what is learnt of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.trace import get_current_span

from inference.gateway.admission.line import Line
from inference.gateway.admission.meters import AdmissionMeters
from inference.gateway.client import Client
from inference.gateway.coalescing.coalescing import Coalescing
from inference.gateway.coalescing.seat import Leader, Source
from inference.gateway.computed import Computed
from inference.gateway.errors import GatewayError, RateLimitedError
from inference.gateway.exchange import Exchange
from inference.gateway.outlet import Outlet
from inference.gateway.proxy import Proxy
from inference.gateway.rollout.rollouts import Rollouts
from inference.gateway.routing.affinity import prefix_of
from inference.gateway.routing.roster import Roster
from inference.gateway.routing.want import Want
from inference.gateway.spans import link
from inference.gateway.tenancy.rate_limits import RateLimits
from inference.gateway.timeline import Outcome
from telemetry.clock import Clock

# What a version is to blame for; what its client did, or a full tier, says nothing of it.
_FAULTS = frozenset({Outcome.REPLICA_ERROR, Outcome.REPLICA_LOST, Outcome.TIMEOUT})


class Answering:
    """Sees a request for a known model to its answer, or to a reason for none."""

    def __init__(
        self,
        *,
        roster: Roster,
        line: Line,
        proxy: Proxy,
        coalescing: Coalescing,
        rollouts: Rollouts,
        quotas: RateLimits,
        meters: AdmissionMeters,
        clock: Clock,
    ) -> None:
        self._roster = roster
        self._line = line
        self._proxy = proxy
        self._coalescing = coalescing
        self._rollouts = rollouts
        self._quotas = quotas
        self._meters = meters
        self._clock = clock

    async def answer(self, exchange: Exchange, client: Client, headers: Mapping[str, str]) -> None:
        """Answer the client, be it with an error; `headers` are the request's."""
        try:
            with self._within_quota(exchange, client):
                await self._share(exchange, client, headers)
        except GatewayError as error:
            await client.fail(error)

    @contextmanager
    def _within_quota(self, exchange: Exchange, client: Client) -> Iterator[None]:
        """Charge the caller what is expected, and in the end what it was; or turn it away."""
        caller = exchange.caller
        if caller.quota.is_unbounded:
            yield
            return
        size = self._line.estimate(exchange.ask.model, exchange.ask)
        tokens = size.input_tokens + size.output_tokens * exchange.ask.choices
        now = self._clock.monotonic()
        try:
            grant = self._quotas.admit(caller, tokens=tokens, now=now)
        except RateLimitedError:
            self._meters.rate_limited(exchange.ask.model, exchange.priority)
            raise
        finally:
            client.extra_headers = self._quotas.headers(caller, now=now)
        try:
            yield
        finally:
            usage = exchange.timeline.usage
            used = 0 if usage is None else usage.input_tokens + usage.output_tokens
            grant.settle(used, now=self._clock.monotonic())

    async def _share(self, exchange: Exchange, client: Client, headers: Mapping[str, str]) -> None:
        """Answer with what another request has, or will have, computed; else compute it."""
        span = get_current_span()

        async def compute(outlet: Outlet) -> None:
            if outlet is client:
                await self._compute(exchange, client)
            else:
                fork = exchange.fork()
                await self._compute(fork, Computed(outlet, fork, exchange))

        with self._coalescing.board(
            exchange.ask,
            compute,
            tenant=exchange.caller.tenant,
            headers=headers,
            leader=Leader(exchange.request_id, span.get_span_context()),
            priority=exchange.priority,
        ) as seat:
            await seat.deliver(client)
        if seat.source is not Source.OWN:
            exchange.timeline.usage = exchange.timeline.replica = None  # another's, counted there
            link(span, None if seat.leader is None else seat.leader.span)

    async def _compute(self, exchange: Exchange, outlet: Outlet) -> None:
        """Have a replica answer; the outlet is told of errors by whoever asked."""
        try:
            await self._proxy.answer(exchange, self._want(exchange), outlet)
        except GatewayError as error:
            exchange.fail(error)
            raise
        finally:
            self._learn(exchange)

    def _want(self, exchange: Exchange) -> Want:
        ask = exchange.ask
        size = self._line.estimate(ask.model, ask)
        return self._of_version(
            Want(
                ask.model,
                size.input_tokens,
                size.output_tokens,
                choices=ask.choices,
                has_images=ask.has_images,
                prefix=prefix_of(ask.prompt),
                session=exchange.session,
                version=self._rollouts.version_for(
                    ask.model, exchange.session, exchange.request_id
                ),
            )
        )

    def _of_version(self, want: Want) -> Want:
        """Let any version serve where none of the chosen one does."""
        if want.version is None or self._roster.is_served(want):
            return want
        self._rollouts.fell_back(want.model, want.version)
        return want.of_any_version()

    def _learn(self, exchange: Exchange) -> None:
        timeline, model = exchange.timeline, exchange.ask.model
        if timeline.usage is not None:
            self._line.learn(model, exchange.ask, timeline.usage)
        failed = exchange.outcome in _FAULTS
        is_telling = failed or exchange.outcome is Outcome.ANSWERED
        if exchange.version is None or timeline.sent is None or not is_telling:
            return
        first = timeline.first_token
        self._rollouts.observed(
            model,
            exchange.version,
            ttft=None if first is None else first - timeline.sent,
            failed=failed,
            at=timeline.wall,
        )
