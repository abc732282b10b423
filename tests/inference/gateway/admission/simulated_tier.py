"""A tier in virtual time: the gateway's backlog in front of replicas that batch continuously."""

import heapq
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from inference.gateway.admission.backlog import Backlog
from inference.gateway.admission.decision import TurnedAway
from inference.gateway.admission.dispatch import grants
from inference.gateway.admission.entry import Entry, Lane
from inference.gateway.admission.work import work_of
from inference.gateway.routing.choice import Capacity, Choice, Reason
from inference.gateway.routing.want import Want
from inference.gateway.tenancy.priority import Priority
from inference.gateway.timeline import Usage
from telemetry.lifecycle import ReplicaState
from telemetry.process_table import ReplicaRecord
from tests.inference.gateway.admission.entries import Ask

_SWEEP_SECONDS = 0.05
_WEIGHT = 5.0
MEAN_WORK = 300 + _WEIGHT * 100
_BYTES_PER_TOKEN = 4
_PREFILL_SHARE = 0.1  # an iteration computes many prompt tokens of one request: they are first
_MIX = {Priority.INTERACTIVE: 0.5, Priority.STANDARD: 0.3, Priority.BATCH: 0.2}
_HALF_FULL = 0.5  # a batch that is less full is faster per request, but does less in all


@dataclass(slots=True, eq=False)
class Request:
    """One simulated request and what became of it."""

    at: float
    priority: Priority
    input_tokens: int
    output_tokens: int
    max_tokens: int
    tenant: str = "anonymous"
    sent: float | None = None
    first_token: float | None = None
    ended: float | None = None
    turned_away: TurnedAway | None = None
    retry_after: float | None = None

    @property
    def work(self):
        return work_of(self.input_tokens, self.output_tokens, _WEIGHT)

    @property
    def asked(self):
        return Ask(self.input_tokens * _BYTES_PER_TOKEN, self.max_tokens)

    def is_good(self, settings):
        """Whether its first token came within its budget."""
        budget = settings.budget_seconds(self.priority)
        return self.first_token is not None and self.first_token - self.at <= budget


@dataclass(slots=True, eq=False)
class Replica:
    """Slots that share one device: all requests in them progress alike."""

    record: ReplicaRecord
    rate: float  # work per second when full
    running: dict = field(default_factory=dict)
    is_up: bool = True
    progress: float = 0.0
    at: float = 0.0
    milestones: list = field(default_factory=list)  # (progress, number, kind, request)

    @property
    def speed(self):
        slots, share = self.record.slots, _HALF_FULL
        return self.rate * (1 + share) / (len(self.running) + share * slots)

    def advance(self, now):
        if self.running:
            self.progress += (now - self.at) * self.speed
        self.at = now

    def next_at(self):
        if not self.milestones:
            return float("inf")
        return self.at + max(0.0, self.milestones[0][0] - self.progress) / self.speed


class Tier:
    """Runs requests through a backlog and replicas; `scale` is (when, how many serve)."""

    def __init__(self, settings, *, replicas=4, slots=8, rate=4000.0, scale=(), seed=0):
        self.settings = settings
        self.backlog = Backlog(settings, np.random.default_rng(seed).random)
        self.replicas = [Replica(_record(n, slots), rate) for n in range(replicas)]
        self.rate = rate * replicas
        self.now = 0.0
        self._scale = list(scale)
        self._entries = {}
        self._number = count()

    def run(self, requests, *, until):
        arrivals = sorted(requests, key=lambda one: one.at)[::-1]
        tick = 0.0
        while True:
            replica = min(self.replicas, key=Replica.next_at)
            times = (
                arrivals[-1].at if arrivals else float("inf"), replica.next_at(), tick,
                self._scale[0][0] if self._scale else float("inf"),
            )  # fmt: skip
            self.now = min(times)
            if self.now > until:
                return
            which = times.index(self.now)
            if which == 0:
                self._arrive(arrivals.pop())
            elif which == 1:
                self._reach(replica)
            elif which == 2:
                tick += _SWEEP_SECONDS
                self._sweep()
            else:
                self._rescale(self._scale.pop(0)[1])

    def capacity(self):
        up = [one for one in self.replicas if one.is_up]
        free = sum(max(0, one.record.slots - len(one.running)) for one in up)
        return Capacity(len(up), sum(one.record.slots for one in up), free, is_waking=True)

    def choose(self, want):
        roomy = [
            one for one in self.replicas
            if one.is_up and len(one.running) + want.choices <= one.record.slots * 9 // 8
        ]  # fmt: skip
        if not roomy:
            return None
        return Choice(min(roomy, key=lambda one: len(one.running)).record, Reason.LOAD)

    def _arrive(self, request):
        backlog = self.backlog
        size = backlog.sizes.estimate(request.asked)
        want = Want("m", size.input_tokens, size.output_tokens)
        if not backlog.waiting and (choice := self.choose(want)) is not None:
            self._send(request, want, choice)
            return
        entry = Entry(
            want, request.priority, request.tenant, 1.0, backlog.supply.work(want),
            arrived=self.now, joined=self.now,
        )  # fmt: skip
        self._look()
        refusal, shed = backlog.enter(entry, self.now)
        for one in shed:
            told = backlog.refusal(one, TurnedAway.SHED, self.now)
            _turn_away(self._entries.pop(one), told)
        if refusal is not None:
            _turn_away(request, refusal)
        else:
            self._entries[entry] = request
        backlog.settle(self.now)

    def _send(self, request, want, choice):
        replica = next(one for one in self.replicas if one.record is choice.record)
        replica.advance(self.now)
        request.sent = self.now
        replica.running[request] = want
        ends = replica.progress + request.work
        first = replica.progress + request.input_tokens * _PREFILL_SHARE
        heapq.heappush(replica.milestones, (first, next(self._number), "first", request))
        heapq.heappush(replica.milestones, (ends, next(self._number), "end", request))
        self.backlog.sent(want, request.priority, self.now)
        self.backlog.settle(self.now)

    def _reach(self, replica):
        replica.advance(self.now)
        _, _, kind, request = heapq.heappop(replica.milestones)
        if kind == "first":
            request.first_token = self.now
            return
        request.ended = self.now
        usage = Usage(request.input_tokens, request.output_tokens)
        self.backlog.supply.ended(
            replica.running.pop(request), usage,
            seconds=self.now - request.sent, first_token=request.first_token - request.sent,
        )  # fmt: skip
        self.backlog.settle(self.now)
        self.backlog.sizes.learn(request.asked, usage)
        self._pump()

    def _pump(self):
        taken = []
        for entry, choice in grants(
            self.backlog.waiting, self.choose, lookahead=self.settings.lookahead,
            is_idle=not self.backlog.supply.in_flight, has_room=lambda: self.capacity().free > 0,
        ):  # fmt: skip
            self._send(self._entries.pop(entry), entry.want, choice)
            taken.append(entry)
        for entry in taken:
            self.backlog.take(entry, self.now)
        self.backlog.settle(self.now)

    def _look(self):
        capacity = self.capacity()
        self.backlog.supply.observe(capacity, self.now)
        lane = Lane(None, has_images=False)
        self.backlog.noted(lane, self.now, is_served=capacity.serving > 0)

    def _sweep(self):
        self._look()
        for entry, refusal in list(self.backlog.overdue(self.now)):
            self.backlog.drop(entry)
            _turn_away(self._entries.pop(entry), refusal)
        self._pump()

    def _rescale(self, serving):
        for number, one in enumerate(self.replicas):
            one.is_up = number < serving
        self._look()
        self._pump()


def poisson(rate, seconds, *, seed, start=0.0, priorities=None):
    """Return requests of mixed sizes that arrive at random; their mean work is MEAN_WORK."""
    rng = np.random.default_rng(seed)
    priorities = priorities or _MIX
    times = start + np.cumsum(rng.exponential(1 / rate, int(rate * seconds)))
    return [
        Request(
            float(at),
            list(priorities)[rng.choice(len(priorities), p=list(priorities.values()))],
            1 + int(rng.lognormal(np.log(300) - 0.5, 1.0)),
            1 + int(rng.lognormal(np.log(100) - 0.32, 0.8)),
            1024,
        )
        for at in times
    ]


def goodput(requests, settings, *, since, until):
    """Return the first tokens per second in between that came within their budgets."""
    good = sum(one.is_good(settings) and since <= one.first_token < until for one in requests)
    return good / (until - since)


def _turn_away(request, refusal):
    request.turned_away, request.retry_after = refusal.reason, refusal.retry_after


def _record(number, slots):
    return ReplicaRecord(
        id=f"r{number}", model="m", state=ReplicaState.SERVING, pid=1, pid_started=0.0,
        host="127.0.0.1", port=1, slots=slots, since=0.0,
    )  # fmt: skip
