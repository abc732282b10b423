"""The backlog of one model: who waits for its replicas, and who may still join.

It is all of admission but the waiting itself: time, capacity and chance are passed in.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from inference.gateway.admission.absence import Absence
from inference.gateway.admission.decision import Outlook, TurnedAway
from inference.gateway.admission.entry import Entry, Lane
from inference.gateway.admission.inflow import Inflow
from inference.gateway.admission.prediction import Calibration, Demand, predicted_wait, retry_after
from inference.gateway.admission.refusal import Refusal
from inference.gateway.admission.settings import AdmissionSettings
from inference.gateway.admission.sizes import SizeEstimator
from inference.gateway.admission.supply import Supply
from inference.gateway.admission.waiting import Waiting
from inference.gateway.routing.want import Want
from inference.gateway.tenancy.priority import Priority

_OUT_OF_LINE = frozenset({TurnedAway.SHED, TurnedAway.EXPIRED})


@dataclass(frozen=True, slots=True)
class LineStanding:
    """How the line of one model stands."""

    waiting: dict[Priority, int]
    backlog_tokens: int
    throughput: float | None  # input-token equivalents per second; None where not measured
    predicted_waits: dict[Priority, float | None]  # seconds; None where not known


class Backlog:
    """Those who wait for one model, and what they can expect."""

    def __init__(self, settings: AdmissionSettings, jitter: Callable[[], float]) -> None:
        self.waiting = Waiting(ageing_seconds=settings.ageing_seconds)
        self.supply = Supply(output_weight=settings.output_weight)
        self.sizes = SizeEstimator()
        self.lanes: Counter[Lane] = Counter()  # in which somebody waits
        self._settings = settings
        self._jitter = jitter
        self._budgets = {one: settings.budget_seconds(one) for one in Priority}
        self._absences: defaultdict[Lane, Absence] = defaultdict(Absence)
        self._calibration = Calibration()
        self._inflow = Inflow()
        self._demand = {one: Demand() for one in Priority}

    def noted(self, lane: Lane, now: float, *, is_served: bool) -> None:
        """Take in whether any replica serves a lane, be it full."""
        self._absences[lane].note(now, is_absent=not is_served)

    def enter(self, entry: Entry, now: float) -> tuple[Refusal | None, list[Entry]]:
        """Let a newcomer into the line or refuse it; return also those shed for it.

        It is one for which no replica has room now. Whoever returns was admitted before; and
        who would be next is let in, for nobody could use the next place better.
        """
        absence = self._absences[entry.lane]
        entry.absent_before = absence.seconds(now)
        if absence.is_now and entry.held_before >= self._settings.hold_seconds:
            return self._unserved(entry), []
        self.waiting.schedule(entry)
        self._demanded(entry, now)
        work = self.waiting.work_before(entry)
        wait = None if absence.is_now else self._predict(entry, work, now)
        is_sure = entry.is_returning or not self._settings.is_on or work <= 0
        if not is_sure and self._outlook(entry.priority, wait).is_hopeless:
            return self.refusal(entry, TurnedAway.PREDICTED_WAIT, now, wait=wait), []
        self._add(entry)
        return (None, []) if entry.is_returning else self._make_room(entry, now, wait)

    def squeeze(self, entry: Entry) -> None:
        """Let a newcomer into the line without a question, to see whether there is room for it."""
        self.waiting.schedule(entry)
        self._add(entry)

    def sent(self, want: Want, priority: Priority, now: float) -> None:
        """Note that a replica takes a request, from the line or past it."""
        self._inflow.took(priority, self.supply.work(want), now)
        self.supply.sent(want)

    def take(self, entry: Entry, now: float) -> None:
        """Let an entry go that a replica takes."""
        self._calibration.learn(entry, self._waited(entry, now))
        self._remove(entry, is_served=True)

    def drop(self, entry: Entry) -> None:
        """Let an entry go without a replica."""
        self._remove(entry, is_served=False)

    def settle(self, now: float) -> None:
        """Take in what has changed, for the measure of throughput."""
        self.supply.settle(now, is_line_empty=not self.waiting)

    def overdue(self, now: float) -> Iterator[tuple[Entry, Refusal]]:
        """Yield who has waited for too long, and what it is told; the line is left as it is."""
        for entry in self.waiting:
            absence = self._absences[entry.lane]
            if absence.is_now:
                held = entry.held_before + absence.seconds(now) - entry.absent_before
                if held >= self._settings.hold_seconds:
                    yield entry, self._unserved(entry)
            elif self._is_late(entry, now):
                self._calibration.learn(entry, self._waited(entry, now))
                yield entry, self.refusal(entry, TurnedAway.EXPIRED, now)

    def refusal(
        self, entry: Entry, reason: TurnedAway, now: float, *, wait: float | None = None
    ) -> Refusal:
        """Return what somebody is told who has to come back later: when there is room for it.

        Who was in line already comes after all who are there by now.
        """
        if reason in _OUT_OF_LINE:
            self._demanded(entry, now)
        rate = self.supply.rate
        seconds = self._settings.retry_after_seconds
        if rate is not None:
            expected = (
                self._typical_wait(entry.priority, entry.lane, now) if wait is None else wait
            )
            demanded = self._demand[entry.priority].seconds(rate=rate, now=now)
            allowed = self._outlook(entry.priority, expected).allowed
            seconds = max(0.0, expected or 0.0, demanded) - allowed
        return self._refused(entry, reason, seconds, self._budgets[entry.priority], wait)

    def standing(self, now: float) -> LineStanding:
        """Return how the line stands."""
        anybody = Lane(None, has_images=False)
        return LineStanding(
            waiting={one: self.waiting.count(one) for one in Priority},
            backlog_tokens=self.waiting.tokens,
            throughput=self.supply.rate,
            predicted_waits={one: self._typical_wait(one, anybody, now) for one in Priority},
        )

    def _predict(self, entry: Entry, work: float, now: float) -> float | None:
        """Return the wait of a newcomer: for the work before it, and then for its places."""
        place = entry.want.choices * (self.supply.mean_work or 0.0)
        entry.predicted = self._wait_behind(work + place, entry.priority, now)
        if entry.predicted is None:
            return None
        return entry.predicted * self._calibration.ratio(entry.priority, entry.lane)

    def _typical_wait(self, priority: Priority, lane: Lane, now: float) -> float | None:
        """Return the wait of a request that came behind all of its class."""
        if not self.waiting and self.supply.capacity.free > 0:
            return 0.0
        work = self.waiting.work_of_class(priority) + (self.supply.mean_work or 0.0)
        wait = self._wait_behind(work, priority, now)
        return None if wait is None else wait * self._calibration.ratio(priority, lane)

    def _wait_behind(self, work: float, priority: Priority, now: float) -> float | None:
        if (rate := self.supply.rate) is None:
            return None
        return predicted_wait(
            work,
            rate=rate,
            above=self._inflow.above(priority, now),
            ageing_seconds=self._settings.ageing_seconds * priority.rank,
        )

    def _demanded(self, entry: Entry, now: float) -> None:
        """Count what came for its class, and for those that are served after it."""
        if entry.is_returning or (rate := self.supply.rate) is None:
            return
        for priority, demand in self._demand.items():
            if priority.rank >= entry.priority.rank:
                demand.came(entry.work, rate=rate, now=now)

    def _outlook(self, priority: Priority, wait: float | None) -> Outlook:
        return Outlook(
            wait, self.supply.first_token, self._budgets[priority], self._settings.headroom
        )

    def _make_room(
        self, newcomer: Entry, now: float, wait: float | None
    ) -> tuple[Refusal | None, list[Entry]]:
        """Shed the least preferred while the line is too long; the newcomer may be that itself."""
        shed: list[Entry] = []
        while self._is_too_long():
            last = self.waiting.least_preferred
            self.drop(last)
            if last is newcomer:
                for one in reversed(shed):  # it would not have fitted even without them
                    self._add(one)
                return self.refusal(newcomer, TurnedAway.QUEUE_FULL, now, wait=wait), []
            shed.append(last)
        return None, shed

    def _is_too_long(self) -> bool:
        """Whether the bounds are exceeded; of tokens, one request alone may have too many."""
        count, settings = len(self.waiting), self._settings
        return count > settings.max_waiting or (
            count > 1 and self.waiting.tokens > settings.max_waiting_tokens
        )

    def _unserved(self, entry: Entry) -> Refusal:
        settings = self._settings
        return self._refused(entry, None, settings.retry_after_seconds, settings.hold_seconds)

    def _refused(
        self,
        entry: Entry,
        reason: TurnedAway | None,
        seconds: float,
        limit: float,
        wait: float | None = None,
    ) -> Refusal:
        back = retry_after(seconds, jitter=self._jitter())
        return Refusal(entry.want.model, entry.priority, reason, back, limit, wait)

    def _is_late(self, entry: Entry, now: float) -> bool:
        bearable = self._settings.patience * self._budgets[entry.priority]
        if not self._settings.is_on or now - entry.joined <= bearable:
            return False
        return self._waited(entry, now) > bearable

    def _waited(self, entry: Entry, now: float) -> float:
        """Return the seconds of this wait during which a replica served."""
        absent = self._absences[entry.lane].seconds(now) - entry.absent_before
        return now - entry.joined - absent

    def _add(self, entry: Entry) -> None:
        self.waiting.add(entry)
        self.lanes[entry.lane] += 1

    def _remove(self, entry: Entry, *, is_served: bool) -> None:
        self.waiting.remove(entry, is_served=is_served)
        self.lanes[entry.lane] -= 1
        if not self.lanes[entry.lane]:
            del self.lanes[entry.lane]
