"""The hedge: where the first byte is late, a second replica is asked, and the faster answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack

from opentelemetry.trace import get_current_span

from inference.gateway.errors import GatewayError
from inference.gateway.exchange import Exchange
from inference.gateway.meters import Meters
from inference.gateway.relay import Opened
from inference.gateway.routing.choice import Choice
from inference.gateway.routing.hedging import Hedging
from inference.gateway.routing.roster import Roster
from inference.gateway.routing.want import Want
from inference.gateway.spans import hedged
from telemetry.process_table import ReplicaRecord

_Open = Callable[[Exchange, ReplicaRecord], Awaitable[Opened]]
_Attempt = asyncio.Task[Opened]


class Hedge:
    """Opens answers, each at one replica or at the faster of two."""

    def __init__(self, open_at: _Open, roster: Roster, meters: Meters, *, policy: Hedging) -> None:
        self._open_at = open_at
        self._roster = roster
        self._meters = meters
        self._policy = policy

    async def open(
        self, exchange: Exchange, want: Want, choice: Choice, stack: ExitStack
    ) -> Opened:
        """Open the answer; what a second replica's part in it holds is left on the stack."""
        model, streams = exchange.ask.model, exchange.ask.streams
        delay = self._policy.delay(model, streams=streams) if exchange.is_idempotent else None
        if delay is None:
            opened = await self._open_at(exchange, choice.record)
        else:
            opened = await self._race(exchange, want, choice, stack, delay)
        self._policy.observe(model, streams=streams, seconds=opened.at - opened.sent)
        return opened

    async def _race(
        self, exchange: Exchange, want: Want, choice: Choice, stack: ExitStack, delay: float
    ) -> Opened:
        attempts = [asyncio.create_task(_awaited(self._open_at(exchange, choice.record)))]
        winner: _Attempt | None = None
        try:
            await asyncio.wait(attempts, timeout=delay)
            if not attempts[0].done() and (second := self._second(exchange, want, choice)):
                stack.enter_context(self._roster.sending(second.record, want))
                hedged(get_current_span(), replica=second.record.id)
                attempts.append(
                    asyncio.create_task(_awaited(self._open_at(exchange, second.record)))
                )
            winner = await _first_opened(attempts)
            return winner.result()
        finally:
            await _dismiss([one for one in attempts if one is not winner])
            if len(attempts) > 1:
                self._tell(exchange.ask.model, attempts[1], winner)

    def _second(self, exchange: Exchange, want: Want, choice: Choice) -> Choice | None:
        """Choose another replica, where one has room and the budget allows it."""
        model = exchange.ask.model
        second = self._roster.choose(want.avoiding(choice.record.id))
        if second is None or not self._policy.may_hedge(model):
            self._meters.hedged(model, "denied")
            return None
        return second

    def _tell(self, model: str, second: _Attempt, winner: _Attempt | None) -> None:
        if winner is None:
            self._meters.hedged(model, "failed")
        else:
            self._meters.hedged(model, "won" if winner is second else "lost")


async def _awaited(opening: Awaitable[Opened]) -> Opened:
    return await opening


async def _first_opened(attempts: Sequence[_Attempt]) -> _Attempt:
    """Wait for the first that opens; where none does, the first one's error is raised."""
    pending = set(attempts)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for attempt in attempts:
            if attempt in done and attempt.exception() is None:
                return attempt
    return attempts[0]  # its result is its error


async def _dismiss(attempts: Sequence[_Attempt]) -> None:
    """Cancel attempts, and close what one of them may have opened in the meantime."""
    for attempt in attempts:
        attempt.cancel()
    for result in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(result, Opened):
            result.close()
        elif isinstance(result, Exception) and not isinstance(result, GatewayError):
            raise result
