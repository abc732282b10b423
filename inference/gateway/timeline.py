"""The timeline of one request: every moment is read once, everything else is derived from it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Outcome(StrEnum):
    """How a request ended; the value is the `error_type` label, empty where all went well."""

    ANSWERED = ""
    REJECTED = "rejected"  # the replica found fault with the request (4xx)
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    NO_REPLICA = "no_replica"
    REPLICA_ERROR = "replica_error"
    REPLICA_LOST = "replica_lost"
    TIMEOUT = "timeout"
    DISCONNECTED = "client_disconnected"
    GATEWAY_ERROR = "gateway_error"


class Stage(StrEnum):
    """A part of a request's time; the value is the `stage` label."""

    GATEWAY = "gateway"  # read, checked, routed, and tries that failed
    QUEUE = "queue"  # in line for a replica
    ENCODE = "encode"  # images, at the replica
    SCHEDULE = "schedule"  # waiting inside the replica
    PREFILL = "prefill"  # to the first token, with the way there and back
    DECODE = "decode"
    FLUSH = "flush"  # last token to last byte
    DEVICE = "device"  # in the runtime: part of prefill and decode


class Phase(StrEnum):
    """How far a request had come; the value is the `phase` label."""

    IN_LINE = "in_line"
    BEFORE_FIRST_TOKEN = "before_first_token"  # noqa: S105 - of a text, not of a login
    AFTER_FIRST_TOKEN = "after_first_token"  # noqa: S105 - likewise


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, as its replica counted them."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class ReplicaTimings:
    """Seconds that a request spent in each stage of its replica, as the replica counted them."""

    queue: float  # until it joined the batch
    prefill: float  # from there to its first token
    decode: float  # from there to its last
    encode: float = 0.0  # of images, before the queue
    device: float = 0.0  # in iterations of the runtime, from joining to its last token


@dataclass(frozen=True, slots=True)
class Interval:
    """One stretch of a request's time, on the clock of its timeline."""

    stage: Stage
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Length of the interval."""
        return self.end - self.start


@dataclass(slots=True)
class Timeline:
    """Moments of one request on one monotonic clock, in seconds; None where not reached."""

    received: float
    wall: float = 0.0  # `received` in seconds since the epoch: the one anchor in wall time
    queued: float | None = None  # read, allowed, and first in line for a replica
    admitted: float | None = None  # its predicted wait is within its budget
    routed: float | None = None
    sent: float | None = None  # to the replica that answered, or was last tried
    first_token: float | None = None
    last_token: float | None = None
    flushed: float | None = None
    held_seconds: float = 0.0  # waiting for a replica, in all
    usage: Usage | None = None
    replica: ReplicaTimings | None = None
    choices: int = 1  # answers that were asked for, which are generated side by side
    failed: tuple[tuple[float, float], ...] = ()  # tries: when routed, and when given up
    _newest: dict[int, float] = field(default_factory=dict, repr=False)  # token of each choice

    def fork(self) -> "Timeline":
        """Return the timeline as it is so far, to go on by itself."""
        return replace(self, _newest={})

    def adopt(self, other: "Timeline") -> None:
        """Take over the way to a replica, which was gone on behalf of this request."""
        self.queued, self.admitted = other.queued, other.admitted
        self.routed, self.sent = other.routed, other.sent
        self.held_seconds, self.failed = other.held_seconds, other.failed

    def token_arrived(self, at: float, *, choice: int = 0) -> float | None:
        """Note a piece of the answer; return the seconds since the one before of its choice."""
        if self.first_token is None:
            self.first_token = at
        self.last_token = at
        before = self._newest.get(choice)
        self._newest[choice] = at
        return None if before is None else at - before

    def whole_arrived(self, at: float, *, first_token: float) -> None:
        """Note an answer in one piece, whose tokens came before as the replica tells."""
        self.first_token = min(first_token, at)
        decode = at - self.first_token if self.replica is None else self.replica.decode
        self.last_token = min(self.first_token + decode, at)

    def try_failed(self, at: float) -> None:
        """Note that the last try came to nothing, so that another one may follow."""
        if self.routed is not None:
            self.failed += ((self.routed, at),)
        self.routed = self.sent = self.replica = None

    @property
    def scheduled(self) -> float | None:
        """When the request joined the batch of its replica, which tells how long that took."""
        if self.sent is None or self.replica is None:
            return None
        return self.sent + self.replica.encode + self.replica.queue

    @property
    def time_to_route(self) -> float | None:
        """Seconds from arrival to the last choice of a replica."""
        return None if self.routed is None else self.routed - self.received

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds from arrival to the first token."""
        return None if self.first_token is None else self.first_token - self.received

    @property
    def time_per_output_token(self) -> float | None:
        """Mean seconds between tokens of one choice; None for fewer than two tokens of each."""
        if self.first_token is None or self.last_token is None or self.usage is None:
            return None
        gaps = self.usage.output_tokens / max(self.choices, 1) - 1
        return (self.last_token - self.first_token) / gaps if gaps > 0 else None

    @property
    def duration(self) -> float | None:
        """Seconds from arrival to the last byte of the answer."""
        return None if self.flushed is None else self.flushed - self.received

    @property
    def waited_until(self) -> float | None:
        """When the wait for a token ended: with the first, or when the request was given up."""
        return self.flushed if self.first_token is None else self.first_token

    @property
    def phase(self) -> Phase:
        """How far the request has come."""
        if self.first_token is not None:
            return Phase.AFTER_FIRST_TOKEN
        return Phase.IN_LINE if self.sent is None else Phase.BEFORE_FIRST_TOKEN

    def is_late(self, *, objective: float) -> bool:
        """Tell whether the wait for a token exceeded the objective."""
        until = self.waited_until
        return until is not None and until - self.received > objective

    def stages(self) -> dict[Stage, float]:
        """Return the seconds of each stage that is known; but for the device, they do not overlap.

        Where first token, last token and end are known, their sum is the duration.
        """
        found: dict[Stage, float] = {}
        for stage, start, end in self._walk():
            found[stage] = found.get(stage, 0.0) + end - start
        return found | self._device(found)

    def intervals(self) -> list[Interval]:
        """Return the request's stages in the order in which it went through them."""
        return [Interval(*one) for one in self._walk() if one[2] > one[1]]

    def _walk(self) -> Iterator[tuple[Stage, float, float]]:
        """Yield each stage with its start and end: one ends where the next one starts."""
        start = self.received
        latest = math.inf if self.flushed is None else max(start, self.flushed)
        for stage, told in self._ends():
            end = min(max(start, told), latest)
            yield stage, start, end
            start = end

    def _ends(self) -> Iterator[tuple[Stage, float]]:
        """Yield each stage with its end, which may lie before its start where clocks disagree."""
        yield from self._before_replica()
        first = self.first_token
        if first is None:
            return
        if self.sent is not None and self.replica is not None:
            yield from self._inside_replica(self.sent, self.replica, first)
        if self.sent is not None:
            yield Stage.PREFILL, first
        if self.last_token is None:
            return
        yield Stage.DECODE, self.last_token
        if self.flushed is not None:
            yield Stage.FLUSH, self.flushed

    def _before_replica(self) -> Iterator[tuple[Stage, float]]:
        """What no replica has is the gateway's: in line, or at work on it."""
        if self.queued is not None:
            yield Stage.GATEWAY, self.queued
            for routed, given_up in self.failed:
                yield Stage.QUEUE, routed
                yield Stage.GATEWAY, given_up
            left = self.sent if self.routed is None else self.routed
            if left is None and self.first_token is None:
                left = self.flushed
            if left is not None:
                yield Stage.QUEUE, left
        until = self.sent if self.sent is not None else self.waited_until
        if until is not None:
            yield Stage.GATEWAY, until

    def _inside_replica(
        self, sent: float, told: ReplicaTimings, first: float
    ) -> Iterator[tuple[Stage, float]]:
        if told.encode > 0:
            yield Stage.ENCODE, min(sent + told.encode, first)
        yield Stage.SCHEDULE, min(sent + told.encode + told.queue, first)

    def _device(self, stages: dict[Stage, float]) -> dict[Stage, float]:
        if self.replica is None or not self.replica.device > 0:
            return {}
        whole = stages.get(Stage.PREFILL, 0.0) + stages.get(Stage.DECODE, 0.0)
        return {Stage.DEVICE: min(self.replica.device, whole)}
