"""The circuit breaker of one replica: passed over for its failures, and tried again with care.

A refusal says that the replica had not begun and may soon: it opens the breaker at once, for a
short time. A loss may be one request's bad luck: it takes several in a row, or a share of them.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from inference.gateway.routing.bounds import above_zero, shares


class BreakerState(StrEnum):
    """Where a breaker stands; the value is the `state` label."""

    CLOSED = "closed"  # requests pass
    OPEN = "open"  # none passes until a moment; from then on one, as a probe
    HALF_OPEN = "half_open"  # the probe is out


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a replica is passed over, and for how long."""

    failures: int = 3  # in a row
    failure_share: float = 0.5  # or so many of the window's requests
    window_requests: int = 10  # fewer than that make no share
    window_seconds: float = 30.0
    refusal_seconds: float = 0.5  # after a first refusal
    open_seconds: float = 1.0  # after failures; both double with each failure that follows
    longest_seconds: float = 16.0
    probe_seconds: float = 5.0  # a probe that takes longer is no reason to send no other

    def __post_init__(self) -> None:
        above_zero(
            breaker_failures=self.failures,
            breaker_window_requests=self.window_requests,
            breaker_window_seconds=self.window_seconds,
            breaker_refusal_seconds=self.refusal_seconds,
            breaker_open_seconds=self.open_seconds,
            breaker_longest_seconds=self.longest_seconds,
            breaker_probe_seconds=self.probe_seconds,
        )
        shares(breaker_failure_share=self.failure_share)

    def wait(self, first: float, openings: int) -> float:
        """Return how long to stay open after so many openings before."""
        # The exponent is bounded because 2.0**2000 is no float.
        return min(first * 2.0 ** min(openings, 64), self.longest_seconds)


@dataclass(frozen=True, slots=True)
class Window:
    """Requests since a moment, and how many of them failed."""

    since: float = float("-inf")
    requests: int = 0
    failed: int = 0

    def plus(self, *, failed: bool, now: float, seconds: float) -> "Window":
        """Count one request more, beginning anew where the window is over."""
        before = self if now - self.since < seconds else Window(now)
        return Window(before.since, before.requests + 1, before.failed + failed)


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is remembered of the failures of one replica."""

    state: BreakerState = BreakerState.CLOSED
    until: float = float("-inf")  # when it lets the next one pass, if it is not closed
    refusals: int = 0  # without an answer in between
    openings: int = 0  # for failures, within a window of each other
    failures: int = 0  # in a row
    window: Window = Window()

    def lets(self, now: float) -> bool:
        """Tell whether a request may be sent."""
        return self.state is BreakerState.CLOSED or now >= self.until

    def is_over(self, now: float, settings: BreakerSettings) -> bool:
        """Tell whether nothing that is remembered matters any more."""
        has_failed = self.window.failed > 0 and now - self.window.since < settings.window_seconds
        has_opened = now - self.until < settings.window_seconds
        return self.state is BreakerState.CLOSED and not has_failed and not has_opened


def refused(before: Breaker, *, now: float, settings: BreakerSettings) -> Breaker:
    """Pass over a replica that did not take a request; what fails together counts once."""
    if _is_passed_over(before, now):
        return before
    wait = settings.wait(settings.refusal_seconds, before.refusals)
    return replace(before, state=BreakerState.OPEN, until=now + wait, refusals=before.refusals + 1)


def lost(before: Breaker, *, now: float, settings: BreakerSettings) -> Breaker:
    """Count a request that failed after the replica may have begun; enough of them open."""
    if _is_passed_over(before, now):
        return before
    window = before.window.plus(failed=True, now=now, seconds=settings.window_seconds)
    after = replace(before, failures=before.failures + 1, window=window)
    if before.state is BreakerState.CLOSED and not _has_failed_enough(after, settings):
        return after
    is_again = now - before.until < settings.window_seconds
    openings = before.openings if is_again else 0
    wait = settings.wait(settings.open_seconds, openings)
    return replace(
        after,
        state=BreakerState.OPEN,
        until=now + wait,
        openings=openings + 1,
        failures=0,
        window=Window(),
    )


def answered(before: Breaker, *, now: float, settings: BreakerSettings) -> Breaker:
    """Count a request that was answered; one that got past an open breaker closes it."""
    if _is_passed_over(before, now):
        return before  # it was sent before the failures
    window = before.window.plus(failed=False, now=now, seconds=settings.window_seconds)
    return replace(before, state=BreakerState.CLOSED, refusals=0, failures=0, window=window)


def probed(before: Breaker, *, now: float, settings: BreakerSettings) -> Breaker:
    """Send a request: where the breaker was open, it is the probe."""
    if before.state is BreakerState.CLOSED:
        return before
    return replace(before, state=BreakerState.HALF_OPEN, until=now + settings.probe_seconds)


def released(before: Breaker, *, now: float) -> Breaker:
    """Take back a probe that ended without a verdict: the next request is one."""
    if before.state is not BreakerState.HALF_OPEN:
        return before
    return replace(before, state=BreakerState.OPEN, until=now)


def _is_passed_over(breaker: Breaker, now: float) -> bool:
    return breaker.state is BreakerState.OPEN and now < breaker.until


def _has_failed_enough(breaker: Breaker, settings: BreakerSettings) -> bool:
    window = breaker.window
    if breaker.failures >= settings.failures:
        return True
    return (
        window.requests >= settings.window_requests
        and window.failed >= settings.failure_share * window.requests
    )
