"""The way of a request through coalescing: told from others, then seated where its answer is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from inference.gateway.coalescing.answer import Answer
from inference.gateway.coalescing.fingerprint import (
    IDEMPOTENCY_KEY,
    Fingerprint,
    fingerprint_of,
    wants_own_answer,
)
from inference.gateway.coalescing.flights import Flights, Passenger
from inference.gateway.coalescing.meters import CoalescingMeters
from inference.gateway.coalescing.response_cache import Kept, ResponseCache
from inference.gateway.coalescing.seat import Leader, Seat, Source, Upstream
from inference.gateway.coalescing.settings import CoalescingSettings
from inference.gateway.completion import Completion
from inference.gateway.errors import GatewayError
from inference.gateway.outlet import Outlet
from inference.gateway.tenancy.priority import Priority
from telemetry.publish import Metrics


class Coalescing:
    """Seats requests: in the cache, aboard the flight of an equal one, or alone.

    `now` is the gateway's monotonic clock; entered and left with the gateway.
    """

    def __init__(
        self, settings: CoalescingSettings, *, metrics: Metrics, now: Callable[[], float]
    ) -> None:
        self._is_enabled = settings.enabled
        self._meters = CoalescingMeters(metrics)
        self._now = now
        self._cache = ResponseCache(
            seconds=settings.cache_seconds, limit_bytes=settings.cache_bytes
        )
        self._flights = Flights(
            flight_bytes=settings.flight_bytes,
            now=now,
            landed=self._keep if settings.cache_seconds else None,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._flights.close()

    def introduce(self, model: str) -> None:
        """Make a model's series, at zero."""
        self._meters.introduce(model)

    @contextmanager
    def board(
        self,
        ask: Completion,
        upstream: Upstream,
        *,
        tenant: str,
        headers: Mapping[str, str],
        leader: Leader,
        priority: Priority = Priority.STANDARD,
        urged: Callable[[Priority], None] = lambda _priority: None,
    ) -> Iterator[Seat]:
        """Seat a request; leaving the context gives the seat up, whatever has become of it.

        `headers` are the request's. `upstream` has it computed, where it must be, and then
        `leader` is how others know it; `urged` is told when one that is more urgent follows it.
        Raises KeyReusedError, BadRequestError for a key too long, NoReplicaError once closed.
        """
        fingerprint = self._fingerprint(ask, tenant, headers)
        if fingerprint is None:
            yield _Alone(upstream)
        elif (kept := self._cache.find(fingerprint, self._now())) is not None:
            yield _FromCache(kept, ask.model, self._meters, self._now)
        else:
            with self._flights.board(
                fingerprint, upstream, leader=leader, priority=priority, urged=urged
            ) as passenger:
                yield _Aboard(passenger, ask.model, self._meters)

    def _fingerprint(
        self, ask: Completion, tenant: str, headers: Mapping[str, str]
    ) -> Fingerprint | None:
        if not self._is_enabled or wants_own_answer(headers):
            return None
        return fingerprint_of(ask, tenant=tenant, idempotency_key=headers.get(IDEMPOTENCY_KEY))

    def _keep(self, fingerprint: Fingerprint, answer: Answer) -> None:
        self._cache.store(fingerprint, answer, self._now())
        self._meters.cached(self._cache.size)


class _Alone:
    """A seat of which nobody knows."""

    source = Source.OWN
    leader = None

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def deliver(self, outlet: Outlet) -> None:
        try:
            await self._upstream(outlet)
        except GatewayError as error:
            await outlet.fail(error)


class _Aboard:
    """A seat on a flight; who follows to the end has saved what the answer took."""

    def __init__(self, passenger: Passenger, model: str, meters: CoalescingMeters) -> None:
        self._passenger = passenger
        self._model = model
        self._meters = meters
        self.source = passenger.source
        self.leader = passenger.leader

    async def deliver(self, outlet: Outlet) -> None:
        await self._passenger.deliver(outlet)
        if self._passenger.has_arrived and self.source is Source.FLIGHT:
            self._meters.shared(self._model, self.source, self._passenger.usage)


class _FromCache:
    """A seat whose answer is at hand."""

    source = Source.CACHE
    leader = None

    def __init__(
        self, kept: Kept, model: str, meters: CoalescingMeters, now: Callable[[], float]
    ) -> None:
        self._kept = kept
        self._model = model
        self._meters = meters
        self._now = now

    async def deliver(self, outlet: Outlet) -> None:
        now = self._now()
        headers = {"X-Warmfront-Cache": "hit", "Age": str(int(self._kept.age(now)))}
        await self._kept.answer.deliver(outlet, at=now, headers=headers)
        self._meters.shared(self._model, self.source, self._kept.answer.usage)
