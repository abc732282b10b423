"""Flights: answers being computed, each once, for all who ask the same."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import structlog

from inference.gateway.coalescing.answer import Answer
from inference.gateway.coalescing.broadcast import Broadcast
from inference.gateway.coalescing.fingerprint import Fingerprint
from inference.gateway.coalescing.reader import Reader
from inference.gateway.coalescing.seat import Leader, Source, Upstream
from inference.gateway.errors import GatewayError, NoReplicaError
from inference.gateway.outlet import Outlet
from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Usage

FOLLOWER_HEADERS = {"X-Warmfront-Coalesced": "follower"}
_RETRY_SECONDS = 1.0
_log = structlog.get_logger(__name__)


class Flight:
    """One answer on its way, and those aboard; when the last one leaves, it is called off."""

    def __init__(
        self,
        fingerprint: Fingerprint,
        leader: Leader,
        priority: Priority,
        *,
        limit: int,
        closing: Callable[["Flight"], None],
        urged: Callable[[Priority], None],
    ) -> None:
        self.fingerprint = fingerprint
        self.leader = leader
        self.priority = priority  # of the most urgent passenger there has been
        self.broadcast = Broadcast(limit=limit, closing=lambda: closing(self))
        self.task: asyncio.Task[None] | None = None
        self._closing = closing
        self._urged = urged
        self._aboard = 0

    def board(self, priority: Priority) -> None:
        """Add a passenger; one more urgent than all before it urges the flight on."""
        self._aboard += 1
        if priority.rank < self.priority.rank:
            self.priority = priority
            self._urged(priority)

    def leave(self) -> None:
        """Let a passenger go; without any, nobody needs what is not computed yet."""
        self._aboard -= 1
        if not self._aboard and not self.broadcast.is_over:
            self._closing(self)
            self.cancel()

    def cancel(self) -> None:
        """Stop computing."""
        if self.task is not None:
            self.task.cancel()

    async def fly(self, upstream: Upstream) -> None:
        """Have the answer computed; whatever happens, those aboard are told."""
        broadcast = self.broadcast
        try:
            await upstream(broadcast)
        except GatewayError as error:
            broadcast.close(error)
        except Exception:  # noqa: BLE001 - the edge of a task: those aboard are told
            _log.exception("shared request failed", request_id=self.leader.request_id)
        finally:
            if not broadcast.is_over:
                broadcast.close(GatewayError("The gateway failed; its log says why."))


class Passenger:
    """One request aboard a flight (a Seat)."""

    def __init__(self, flight: Flight, *, leads: bool, now: float) -> None:
        self._flight = flight
        self._leads = leads
        self._reader = Reader(
            flight.broadcast, since=now, headers=None if leads else FOLLOWER_HEADERS
        )
        self.has_arrived = False  # it was told all of the answer, and that is a success

    @property
    def source(self) -> Source:
        """Where the answer comes from."""
        return Source.OWN if self._leads else Source.FLIGHT

    @property
    def leader(self) -> Leader | None:
        """The request that this one follows, if it does."""
        return None if self._leads else self._flight.leader

    @property
    def usage(self) -> Usage | None:
        """The tokens that the answer took, as far as they are known."""
        return self._flight.broadcast.usage

    async def deliver(self, outlet: Outlet) -> None:
        """Hand the outlet the answer, or the error that came of it; returns when it has all."""
        self.has_arrived = await self._reader.play(outlet)

    def leave(self) -> None:
        """Get off, early or late."""
        self._reader.leave()
        self._flight.leave()


class Flights:
    """All flights that can be boarded, and the tasks of those that have not ended; closed once.

    `landed` takes each complete answer before the passengers have its end.
    """

    def __init__(
        self,
        *,
        flight_bytes: int,
        now: Callable[[], float],
        landed: Callable[[Fingerprint, Answer], None] | None = None,
    ) -> None:
        self._flight_bytes = flight_bytes
        self._now = now
        self._landed = landed
        self._open: dict[bytes, Flight] = {}
        self._flying: set[Flight] = set()
        self._is_closed = False

    def __len__(self) -> int:
        """Number of flights whose computing has not ended."""
        return len(self._flying)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @contextmanager
    def board(
        self,
        fingerprint: Fingerprint,
        upstream: Upstream,
        *,
        leader: Leader,
        priority: Priority,
        urged: Callable[[Priority], None],
    ) -> Iterator[Passenger]:
        """Join the flight that computes the same, or start one with `upstream` and `leader`.

        `urged` is told when somebody more urgent joins the flight that this request leads.
        Raises KeyReusedError, and NoReplicaError once closed.
        """
        if self._is_closed:
            raise _closing()
        flight = self._open.get(fingerprint.identity)
        leads = flight is None
        if flight is None:
            flight = self._start(fingerprint, upstream, leader, priority, urged)
        else:
            flight.fingerprint.confirm(fingerprint)
        flight.board(priority)
        passenger = Passenger(flight, leads=leads, now=self._now())
        try:
            yield passenger
        finally:
            passenger.leave()

    async def close(self) -> None:
        """Call off what is still flying; those aboard are told to ask elsewhere."""
        self._is_closed = True
        flying = list(self._flying)
        for flight in flying:
            flight.broadcast.close(_closing())
            flight.cancel()
        await asyncio.gather(
            *(flight.task for flight in flying if flight.task), return_exceptions=True
        )

    def _start(
        self,
        fingerprint: Fingerprint,
        upstream: Upstream,
        leader: Leader,
        priority: Priority,
        urged: Callable[[Priority], None],
    ) -> Flight:
        flight = Flight(
            fingerprint,
            leader,
            priority,
            limit=self._flight_bytes,
            closing=self._close_flight,
            urged=urged,
        )
        self._open[fingerprint.identity] = flight
        self._flying.add(flight)
        flight.task = asyncio.create_task(flight.fly(upstream))
        flight.task.add_done_callback(lambda _task: self._flying.discard(flight))
        return flight

    def _close_flight(self, flight: Flight) -> None:
        """Let nobody board any longer, and hand on the answer where it is complete."""
        identity = flight.fingerprint.identity
        if self._open.get(identity) is flight:
            del self._open[identity]
        if self._landed is not None and (answer := flight.broadcast.answer) is not None:
            self._landed(flight.fingerprint, answer)


def _closing() -> NoReplicaError:
    return NoReplicaError(
        "The gateway is shutting down; send the request again.", retry_after=_RETRY_SECONDS
    )
