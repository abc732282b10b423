"""The proxy: one request to one replica after another, until one answers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from opentelemetry.trace import get_current_span

from inference.gateway.admission.line import Line
from inference.gateway.errors import (
    NoReplicaError,
    ReplicaLostError,
    ReplicaRefusedError,
    ReplicaTimeoutError,
)
from inference.gateway.exchange import Exchange
from inference.gateway.hedge import Hedge
from inference.gateway.limits import GatewayLimits
from inference.gateway.meters import Meters
from inference.gateway.outlet import Outlet
from inference.gateway.relay import Opened, Relay
from inference.gateway.routing.choice import Choice
from inference.gateway.routing.hedging import Hedging
from inference.gateway.routing.roster import Roster
from inference.gateway.routing.want import Want
from inference.gateway.second_tries import SecondTries
from inference.gateway.spans import retried
from telemetry.clock import Clock
from telemetry.process_table import ReplicaRecord

_BUSY = 429
_RETRY_SECONDS = 1.0


class Proxy:
    """Sends requests to replicas; only before the first byte of an answer may another try."""

    def __init__(
        self,
        roster: Roster,
        line: Line,
        relay: Relay,
        meters: Meters,
        *,
        second_tries: SecondTries,
        hedging: Hedging,
        limits: GatewayLimits,
        clock: Clock,
    ) -> None:
        self._roster = roster
        self._line = line
        self._relay = relay
        self._meters = meters
        self._second_tries = second_tries
        self._limits = limits
        self._clock = clock
        self._hedge = Hedge(self._open, roster, meters, policy=hedging)

    async def answer(self, exchange: Exchange, want: Want, outlet: Outlet) -> None:
        """Have one replica answer into the outlet; raise GatewayError where none does."""
        losses = 0
        self._second_tries.requested(want.model)
        for _ in range(self._limits.max_tries):
            async with self._line.place(exchange, want) as choice:
                try:
                    if await self._try(exchange, want, choice, outlet):
                        return
                    reason = "busy"
                except ReplicaRefusedError:
                    reason = "refused"
                except ReplicaLostError:
                    losses += 1
                    if outlet.is_begun or not self._second_tries.may_follow(want.model, losses):
                        raise
                    reason = "lost"
            self._note_failure(exchange, choice.record, reason)
            if reason != "refused":  # of which the roster knows already
                want = self._elsewhere(want, choice.record)
        raise NoReplicaError(
            f"{self._limits.max_tries} tries found no replica of model '{want.model}' that takes "
            f"requests; retry in {_RETRY_SECONDS:g} s.",
            retry_after=_RETRY_SECONDS,
        )

    async def _try(self, exchange: Exchange, want: Want, choice: Choice, outlet: Outlet) -> bool:
        """Pass on what one replica answers; False where it is full and another has room."""
        self._note_try(exchange, choice.record, self._clock.monotonic())
        with ExitStack() as stack:
            opened = await self._hedge.open(exchange, want, choice, stack)
            stack.callback(opened.close)
            if _is_busy(opened) and self._roster.has_room(want.avoiding(opened.record.id)):
                return False
            self._note_try(exchange, opened.record, opened.sent)
            with self._judged(opened.record):
                await self._relay.pass_on(opened, outlet)
        return True

    async def _open(self, exchange: Exchange, record: ReplicaRecord) -> Opened:
        with self._judged(record):
            opened = await self._relay.open(exchange, record)
        self._roster.answered(record)
        return opened

    @contextmanager
    def _judged(self, record: ReplicaRecord) -> Iterator[None]:
        """Let the roster know how a replica fails."""
        try:
            yield
        except ReplicaRefusedError:
            self._roster.refused(record)
            raise
        except (ReplicaLostError, ReplicaTimeoutError):
            self._roster.lost(record)
            raise

    def _elsewhere(self, want: Want, record: ReplicaRecord) -> Want:
        """Want any other replica, unless there is no other: then this one again."""
        other = want.avoiding(record.id)
        return other if self._roster.is_served(other) else want

    def _note_try(self, exchange: Exchange, record: ReplicaRecord, sent: float) -> None:
        exchange.replica, exchange.version = record.id, record.version
        exchange.timeline.sent = sent

    def _note_failure(self, exchange: Exchange, record: ReplicaRecord, reason: str) -> None:
        exchange.is_retried = True
        exchange.timeline.try_failed(self._clock.monotonic())
        self._meters.retried(exchange.ask.model, reason)
        retried(get_current_span(), replica=record.id, reason=reason)


def _is_busy(opened: Opened) -> bool:
    """Whether a replica's own line is full: others send to it too."""
    return opened.whole is not None and opened.whole.status == _BUSY
