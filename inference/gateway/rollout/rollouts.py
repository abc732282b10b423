"""The rollouts of a gateway, one per model at most, as a request's way meets them."""

from collections.abc import Iterable, Iterator

from inference.gateway.rollout.meters import RolloutMeters
from inference.gateway.rollout.plan import RolloutPlan
from inference.gateway.rollout.rollout import Move, Order, Readiness, State
from inference.gateway.rollout.running import Kept, Running
from inference.gateway.rollout.sessions import Seat, Sessions, number_of, share_of
from inference.gateway.rollout.settings import RolloutSettings
from telemetry.clock import Clock
from telemetry.publish import Metrics


class RolloutExistsError(Exception):
    """The model has a rollout already."""


class NoRolloutError(Exception):
    """The model has no rollout."""


class Rollouts:
    """Chooses versions for requests, and learns from what becomes of them."""

    def __init__(
        self, metrics: Metrics, *, clock: Clock, settings: RolloutSettings | None = None
    ) -> None:
        settings = settings or RolloutSettings()
        self._meters = RolloutMeters(metrics)
        self._clock = clock
        self._running: dict[str, Running] = {}
        self._sessions = Sessions(
            limit=settings.most_sessions, ttl_seconds=settings.session_ttl_seconds
        )

    def version_for(self, model: str, session: str | None, key: str) -> str | None:
        """Choose the version for a request; None where no rollout of its model is under way.

        A session stays on the version it began with; a request without one is split by `key`,
        its id. Called for each request with a session, rollout or not: that is how a rollout
        knows which sessions began before it.
        """
        running = self._running.get(model)
        if session is None:
            return None if running is None else self._chosen(running, None, key)
        now = self._clock.monotonic()
        number = number_of(model, session)
        version = None
        if running is not None:
            version = self._chosen(running, self._sessions.seat(number, now), session)
        self._sessions.note(number, Seat(model, version, now))
        return version

    def observed(
        self, model: str, version: str, *, ttft: float | None, failed: bool, at: float
    ) -> None:
        """Learn what became of a request that a replica of `version` was sent.

        `ttft` is in seconds from being sent to the first token, None where there was none;
        `failed` tells whether the replica is to blame; `at` is when the request came, in
        seconds since the epoch. Requests that the client gave up or got wrong are no evidence.
        """
        running = self._running.get(model)
        if running is None or version not in (running.plan.stable, running.plan.canary):
            return
        running.count(version, ttft=ttft, failed=failed, at=at)
        self._meters.observed(model, version, ttft=ttft, failed=failed)

    def fell_back(self, model: str, version: str) -> None:
        """Take note that a request chosen for `version` went to another: none of it served."""
        self._meters.fell_back(model, version)

    def __iter__(self) -> Iterator[Running]:
        return iter(tuple(self._running.values()))

    def of(self, model: str) -> Running:
        """Return the rollout of a model; NoRolloutError where there is none."""
        if model not in self._running:
            raise NoRolloutError(f"model {model[:100]!r} has no rollout")
        return self._running[model]

    def start(self, plan: RolloutPlan) -> Running:
        """Begin a rollout; RolloutExistsError where the model has one."""
        there = self._running.get(plan.model)
        if there is not None:
            phase = there.state.phase.value.replace("_", " ")
            raise RolloutExistsError(
                f"model {plan.model!r} has a rollout of {there.plan.canary!r} already "
                f"({phase}); finish it first"
            )
        return self._take_up(Kept(plan, State(since=self._clock.now())))

    def restore(self, kept: Iterable[Kept]) -> None:
        """Take up the rollouts of an earlier process where they stood."""
        for one in kept:
            self._take_up(one)

    def look(self, model: str, readiness: Readiness) -> tuple[Move, ...]:
        """Let a rollout go on by what is known now; return the moves made."""
        running = self.of(model)
        return self._counted(running, running.look(readiness, self._clock.now()))

    def follow(self, model: str, order: Order) -> tuple[Move, ...]:
        """Follow an operator's order; OrderRefusedError says why it cannot be."""
        running = self.of(model)
        return self._counted(running, running.follow(order, self._clock.now()))

    def finish(self, model: str) -> Running:
        """Remove a rollout: requests go to any version from here on."""
        running = self.of(model)
        del self._running[model]
        self.show()
        return running

    def old_sessions(self, running: Running) -> int:
        """Count the sessions heard of lately that are not on the canary."""
        self._sessions.expire(self._clock.monotonic())
        return self._sessions.elsewhere(running.plan.model, running.plan.canary)

    def kept(self) -> list[Kept]:
        """Return all that is to outlive the process; sessions are not."""
        return [one.kept() for one in self]

    def show(self) -> None:
        """Bring the gauges up to date."""
        self._meters.show(self._running.values())

    def _chosen(self, running: Running, seat: Seat | None, key: str) -> str:
        # Hashed with the canary's name: other sessions go first in the next rollout.
        share = share_of(running.plan.model, running.plan.canary, key)
        return running.version_of(seat, share)

    def _take_up(self, kept: Kept) -> Running:
        running = self._running[kept.plan.model] = Running(kept)
        self._meters.introduce(kept.plan)
        self.show()
        return running

    def _counted(self, running: Running, moves: tuple[Move, ...]) -> tuple[Move, ...]:
        self._meters.moved(running.plan, moves)
        return moves
