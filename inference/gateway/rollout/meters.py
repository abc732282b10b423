"""The metrics of rollouts: they exist while the rollout does, and counters beyond it."""

from collections.abc import Iterable, Iterator

from inference.gateway.rollout.plan import RolloutPlan
from inference.gateway.rollout.rollout import Move
from inference.gateway.rollout.running import Running
from telemetry.catalog import (
    ROLLOUT_FALLBACKS,
    ROLLOUT_MOVES,
    ROLLOUT_QUALITY,
    ROLLOUT_REQUESTS,
    ROLLOUT_TTFT,
    ROLLOUT_WEIGHT,
)
from telemetry.publish import Metrics

_OUTCOMES = ("ok", "failed")


class RolloutMeters:
    """Counts what rollouts do; versions come from plans, never from a client."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._moves = metrics.counter(ROLLOUT_MOVES)
        self._requests = metrics.counter(ROLLOUT_REQUESTS)
        self._fallbacks = metrics.counter(ROLLOUT_FALLBACKS)
        self._ttft = metrics.histogram(ROLLOUT_TTFT)

    def introduce(self, plan: RolloutPlan) -> None:
        """Begin the series of a rollout at zero."""
        for version in (plan.stable, plan.canary):
            for outcome in _OUTCOMES:
                self._requests.labels(plan.model, version, outcome)
            self._fallbacks.labels(plan.model, version)
            self._ttft.labels(plan.model, version)

    def moved(self, plan: RolloutPlan, moves: Iterable[Move]) -> None:
        """Count changes of phase and step."""
        for move in moves:
            self._moves.labels(plan.model, move.phase.value, move.reason.value).inc()

    def observed(self, model: str, version: str, *, ttft: float | None, failed: bool) -> None:
        """Count one request."""
        self._requests.labels(model, version, _OUTCOMES[failed]).inc()
        if ttft is not None:
            self._ttft.labels(model, version).observe(ttft)

    def fell_back(self, model: str, version: str) -> None:
        """Count one request that another version than the chosen one served."""
        self._fallbacks.labels(model, version).inc()

    def show(self, rollouts: Iterable[Running]) -> None:
        """Make the weights and qualities of these rollouts the only ones."""
        ones = list(rollouts)
        self._metrics.replace(ROLLOUT_WEIGHT, [row for one in ones for row in _weights(one)])
        self._metrics.replace(ROLLOUT_QUALITY, [row for one in ones for row in _qualities(one)])


def _weights(one: Running) -> Iterator[tuple[dict[str, str], float]]:
    yield {"model": one.plan.model, "version": one.plan.stable}, 1 - one.weight
    yield {"model": one.plan.model, "version": one.plan.canary}, one.weight


def _qualities(one: Running) -> Iterator[tuple[dict[str, str], float]]:
    """What is not known has no series."""
    if one.qualities is not None:
        for version, quality in zip(
            (one.plan.stable, one.plan.canary), one.qualities, strict=True
        ):
            yield {"model": one.plan.model, "version": version}, quality
