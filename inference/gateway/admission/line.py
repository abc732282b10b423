"""The line: requests wait here until a replica has room for them, or are told to come back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from inference.gateway.admission.backlog import Backlog, LineStanding
from inference.gateway.admission.decision import TurnedAway
from inference.gateway.admission.dispatch import grants
from inference.gateway.admission.entry import Entry, Lane
from inference.gateway.admission.meters import AdmissionMeters
from inference.gateway.admission.refusal import Refusal, closing
from inference.gateway.admission.replicas import Replicas
from inference.gateway.admission.seat import Seat, take_seat
from inference.gateway.admission.settings import AdmissionSettings
from inference.gateway.admission.sizes import Asked, Size
from inference.gateway.admission.waiter import Waiter
from inference.gateway.admission.work import Pace
from inference.gateway.errors import GatewayError
from inference.gateway.routing.choice import Capacity, Choice
from inference.gateway.routing.want import Want
from inference.gateway.timeline import Timeline, Usage
from telemetry.clock import Clock

_SWEEP_SECONDS = 0.05  # between two looks at who has waited for too long
_CAPACITY_SECONDS = 0.5  # for which a capacity is believed while nobody waits

_Wait = asyncio.Future[Seat]


class Line:
    """Gives each request its replica, in an order that is fair; one line per model."""

    def __init__(
        self,
        roster: Replicas,
        meters: AdmissionMeters,
        *,
        settings: AdmissionSettings,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._roster = roster
        self._meters = meters
        self._settings = settings
        self._now = clock.monotonic
        self._jitter = jitter
        self._backlogs: dict[str, Backlog] = {}
        self._waits: dict[Entry, _Wait] = {}
        self._timer: asyncio.TimerHandle | None = None
        roster.on_room(self._on_room)

    def introduce(self, models: Iterable[str]) -> None:
        """Make the metrics of models, so that they can be seen before the first request."""
        for model in models:
            self._backlog(model)

    def estimate(self, model: str, asked: Asked) -> Size:
        """Return the tokens that a request is expected to take; output is of one choice."""
        return self._backlog(model).sizes.estimate(asked)

    def learn(self, model: str, asked: Asked, usage: Usage) -> None:
        """Take in what an answered request took."""
        self._backlog(model).sizes.learn(asked, usage)

    def learn_pace(self, model: str, pace: Pace) -> None:
        """Take in what the iterations of a model's replica cost."""
        backlog = self._backlog(model)
        backlog.supply.paced(pace, backlog.sizes.mean)

    def standing(self, model: str) -> LineStanding:
        """Return how the line of a model stands."""
        backlog = self._backlog(model)
        self._look(backlog, model)
        return backlog.standing(self._now())

    @asynccontextmanager
    async def place(self, exchange: Waiter, want: Want) -> AsyncIterator[Choice]:
        """Wait for a replica with room and hold that room; OverloadedError or NoReplicaError.

        A request that leaves by an exception counts as cut short.
        """
        timeline, now = exchange.timeline, self._now()
        if timeline.queued is None:
            timeline.queued = now
        seat = self._seat_at_once(exchange, want, now) or await self._wait(exchange, want, now)
        if timeline.admitted is None:
            timeline.admitted = now
        timeline.routed = seat.taken_at
        is_whole = False
        try:
            yield seat.choice
            is_whole = True
        finally:
            seat.leave(timeline if is_whole else None, self._now())

    def close(self) -> None:
        """Let nobody wait any longer."""
        for entry in list(self._waits):
            self._dismiss(entry, closing())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def sweep(self) -> None:
        """Send away those who have waited for too long, and look for room once more."""
        now = self._now()
        for model, backlog in self._backlogs.items():
            if not backlog.waiting:
                continue
            capacity = self._look(backlog, model)
            for lane in list(backlog.lanes):
                want = Want(model, version=lane.version, has_images=lane.has_images)
                self._note_lane(backlog, want, capacity, now)
            for entry, refusal in list(backlog.overdue(now)):
                self._refuse(entry, refusal)
            self._pump(model, backlog)

    def _backlog(self, model: str) -> Backlog:
        backlog = self._backlogs.get(model)
        if backlog is None:
            backlog = self._backlogs[model] = Backlog(self._settings, self._jitter)
            self._meters.introduce(model, lambda: self.standing(model))
        return backlog

    def _seat_at_once(self, exchange: Waiter, want: Want, now: float) -> Seat | None:
        """Take room where nobody waits for it."""
        backlog = self._backlog(want.model)
        if now - backlog.supply.seen_at > _CAPACITY_SECONDS:
            self._look(backlog, want.model)
        if backlog.waiting or (choice := self._roster.choose(want)) is None:
            return None
        seat = take_seat(self._roster, backlog, choice, want, priority=exchange.priority, now=now)
        backlog.settle(now)
        return seat

    async def _wait(self, exchange: Waiter, want: Want, now: float) -> Seat:
        """Wait in line; whoever leaves it, by whatever end, leaves nothing behind."""
        timeline = exchange.timeline
        entry = self._entry(exchange, want, now)
        wait: _Wait = asyncio.get_running_loop().create_future()
        self._waits[entry] = wait
        try:
            self._join(entry, timeline, now)
            return await wait
        except BaseException:
            self._abandon(entry, wait)
            raise
        finally:
            timeline.held_seconds += self._now() - now

    def _entry(self, exchange: Waiter, want: Want, now: float) -> Entry:
        timeline, caller = exchange.timeline, exchange.caller
        return Entry(
            want,
            exchange.priority,
            caller.tenant,
            caller.share,
            self._backlog(want.model).supply.work(want),
            arrived=now if timeline.queued is None else timeline.queued,
            joined=now,
            is_returning=exchange.is_retried,
            held_before=timeline.held_seconds if exchange.is_retried else 0.0,
        )

    def _join(self, entry: Entry, timeline: Timeline, now: float) -> None:
        if self._roster.is_closed:
            raise closing()
        model, backlog = entry.want.model, self._backlog(entry.want.model)
        if backlog.waiting and self._look(backlog, model).free > 0 and self._squeeze(entry):
            return
        self._note_lane(backlog, entry.want, self._look(backlog, model), now)
        refusal, shed = backlog.enter(entry, now)
        for one in shed:
            self._refuse(one, backlog.refusal(one, TurnedAway.SHED, now))
        if refusal is not None:
            self._count(refusal)
            raise refusal.error()
        if timeline.admitted is None:
            timeline.admitted = now
        backlog.settle(now)
        self._watch()

    def _squeeze(self, entry: Entry) -> bool:
        """Give a newcomer room that nobody in line can use, if there is any."""
        backlog = self._backlog(entry.want.model)
        backlog.squeeze(entry)
        self._pump(entry.want.model, backlog)
        if entry not in self._waits:
            return True
        backlog.drop(entry)
        return False

    def _abandon(self, entry: Entry, wait: _Wait) -> None:
        """Clear away a wait that ends without the request going on."""
        if self._waits.pop(entry, None) is not None:
            if entry.is_waiting:
                backlog = self._backlog(entry.want.model)
                backlog.drop(entry)
                backlog.settle(self._now())
        elif wait.done() and not wait.cancelled() and wait.exception() is None:
            wait.result().leave(None, self._now())

    def _on_room(self) -> None:
        if self._roster.is_closed:
            self.close()
            return
        for model, backlog in self._backlogs.items():
            if backlog.waiting:
                self._pump(model, backlog)

    def _pump(self, model: str, backlog: Backlog) -> None:
        """Give the room that there is to those whose turn it is."""
        now, seated = self._now(), []
        for entry, choice in grants(
            backlog.waiting,
            self._roster.choose,
            lookahead=self._settings.lookahead,
            is_idle=not backlog.supply.in_flight,
            has_room=lambda: self._look(backlog, model).free > 0,
            is_gone=lambda entry: self._waits[entry].cancelled(),  # but it has not run since
        ):
            seat = take_seat(
                self._roster, backlog, choice, entry.want, priority=entry.priority, now=now
            )
            seated.append((entry, seat))
        for entry, _ in seated:
            backlog.take(entry, now)
        backlog.settle(now)
        for entry, seat in seated:
            self._waits.pop(entry).set_result(seat)

    def _look(self, backlog: Backlog, model: str) -> Capacity:
        capacity = self._roster.capacity(model)
        backlog.supply.observe(capacity, self._now())
        return capacity

    def _note_lane(self, backlog: Backlog, want: Want, capacity: Capacity, now: float) -> None:
        """Note whether waiting is for room, or for a replica that serves at all."""
        if want.version is not None:
            capacity = self._roster.capacity(want.model, want.version)
        is_served = capacity.serving > 0 and self._roster.is_served(want)
        backlog.noted(Lane(want.version, want.has_images), now, is_served=is_served)

    def _watch(self) -> None:
        """Look after those who wait, for as long as somebody does."""
        if self._timer is None and self._waits:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_SWEEP_SECONDS, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.sweep()
        self._watch()

    def _refuse(self, entry: Entry, refusal: Refusal) -> None:
        self._count(refusal)
        self._dismiss(entry, refusal.error())

    def _dismiss(self, entry: Entry, error: GatewayError) -> None:
        if entry.is_waiting:
            backlog = self._backlog(entry.want.model)
            backlog.drop(entry)
            backlog.settle(self._now())
        wait = self._waits.pop(entry)
        if not wait.done():  # else its client left, but it has not run since
            wait.set_exception(error)

    def _count(self, refusal: Refusal) -> None:
        if refusal.reason is not None:
            self._meters.turned_away(refusal.model, refusal.priority, refusal.reason)
