"""The proxy: one request to one replica after another, until one answers."""

from aiohttp import web

from inference.gateway.errors import NoReplicaError, ReplicaLostError, ReplicaRefusedError
from inference.gateway.exchange import Exchange
from inference.gateway.holding import WaitingRoom
from inference.gateway.limits import GatewayLimits
from inference.gateway.meters import Meters
from inference.gateway.relay import Relay
from inference.gateway.roster import Roster
from inference.gateway.upstream import Upstream
from telemetry.clock import Clock
from telemetry.process_table import ReplicaRecord


class Proxy:
    """Sends requests to replicas; only before the first byte of an answer may another try."""

    def __init__(
        self,
        roster: Roster,
        room: WaitingRoom,
        upstream: Upstream,
        relay: Relay,
        meters: Meters,
        *,
        limits: GatewayLimits,
        clock: Clock,
    ) -> None:
        self._roster = roster
        self._room = room
        self._upstream = upstream
        self._relay = relay
        self._meters = meters
        self._limits = limits
        self._clock = clock

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        """Return the answer: a stream that has been passed on, or a whole one still to send."""
        losses = 0
        for tries in range(self._limits.max_tries):
            record = await self._room.find(exchange.ask.model, exchange.timeline)
            if tries:
                self._meters.retried(exchange.ask.model)
            try:
                return await self._ask(exchange, record)
            except ReplicaRefusedError:
                self._roster.pass_over(record)
            except ReplicaLostError:
                self._roster.pass_over(record)
                losses += 1
                if losses > self._limits.max_losses:
                    raise
        seconds = self._limits.retry_after_seconds
        raise NoReplicaError(
            f"{self._limits.max_tries} tries found no replica of model '{exchange.ask.model}' "
            f"that takes requests; retry in {seconds:g} s.",
            retry_after=seconds,
        )

    async def _ask(self, exchange: Exchange, record: ReplicaRecord) -> web.StreamResponse:
        exchange.replica = record.id
        with self._roster.sending(record):
            exchange.timeline.sent = self._clock.monotonic()
            async with self._upstream.sent(exchange, record) as answer:
                self._roster.restore(record)
                if answer.content_type == "text/event-stream":
                    return await self._relay.stream(answer, exchange)
                return await self._relay.whole(answer, exchange)
