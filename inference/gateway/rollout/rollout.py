"""The course of a rollout: preparing, then traffic in steps, then promoted or rolled back.

canary      preparing → shifting (step by step) → promoted
blue/green  preparing → switched → draining → promoted
and from anywhere → rolled_back
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from inference.gateway.rollout.evidence import Evidence
from inference.gateway.rollout.plan import RolloutPlan, Strategy
from inference.gateway.rollout.verdict import (
    CONFIRMING_ROUNDS,
    Action,
    Numbers,
    Reason,
    has_dropped,
    judge,
    lacks_baseline,
    lacks_probes,
    measure,
)
from inference.gateway.routing.choice import Capacity


class Phase(StrEnum):
    """Where a rollout stands; the value is the `phase` label."""

    PREPARING = "preparing"  # the canary gets nothing until it is ready
    SHIFTING = "shifting"  # it gets the share of its step
    SWITCHED = "switched"  # it gets all new sessions, and is judged
    DRAINING = "draining"  # it stood that; old sessions may end on stable
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"

    @property
    def is_final(self) -> bool:
        """Whether nothing moves by itself any more."""
        return self in (Phase.PROMOTED, Phase.ROLLED_BACK)


class Order(StrEnum):
    """What an operator may say to a rollout under way."""

    PROMOTE = "promote"  # without waiting for a verdict
    ROLL_BACK = "roll_back"
    PAUSE = "pause"  # go no further; clear harm still rolls back
    RESUME = "resume"


class OrderRefusedError(Exception):
    """An order that the rollout cannot follow where it stands."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a rollout stands; times are seconds since the epoch."""

    since: float  # this phase and step began
    phase: Phase = Phase.PREPARING
    step: int = 0  # index into the plan's weights, where shifting
    reason: Reason = Reason.STARTED  # of the last move, or for staying
    missing_since: float | None = None  # no replica of the canary serves
    is_paused: bool = False

    def weight(self, plan: RolloutPlan) -> float:
        """Share of new sessions that go to the canary."""
        match self.phase:
            case Phase.PREPARING | Phase.ROLLED_BACK:
                return 0.0
            case Phase.SHIFTING:
                return plan.weights[self.step]
        return 1.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """What serves at the moment."""

    stable: Capacity
    canary: Capacity
    old_sessions: int = 0  # remembered, and not on the canary


@dataclass(frozen=True, slots=True)
class Move:
    """A change of phase or step, with the reason and the numbers that led to it."""

    at: float  # seconds since the epoch
    phase: Phase
    step: int
    weight: float
    reason: Reason
    numbers: Numbers | None = None


def step(
    plan: RolloutPlan, state: State, evidence: Evidence, readiness: Readiness, now: float
) -> tuple[State, tuple[Move, ...]]:
    """Take the rollout on by one look at it; `now` in seconds since the epoch."""
    state = _noting_absence(state, readiness, now)
    match state.phase:
        case Phase.PREPARING:
            return _prepare(plan, state, evidence, readiness, now)
        case Phase.SHIFTING | Phase.SWITCHED:
            return _go_on(plan, state, evidence, now)
        case Phase.DRAINING:
            return _drain(plan, state, evidence, readiness, now)
    return state, ()


def follow(
    plan: RolloutPlan, state: State, order: Order, now: float
) -> tuple[State, tuple[Move, ...]]:
    """Follow an operator's order; OrderRefusedError says why it cannot be."""
    match order:
        case Order.PAUSE | Order.RESUME:
            if state.phase.is_final:
                raise OrderRefusedError(f"the rollout is {_said(state.phase)}: nothing moves")
            return replace(state, is_paused=order is Order.PAUSE), ()
        case Order.ROLL_BACK:
            if state.phase is Phase.ROLLED_BACK:
                raise OrderRefusedError("the rollout is rolled back already")
            return _moved(plan, state, Phase.ROLLED_BACK, Reason.ORDERED, now=now)
    if state.phase.is_final:
        raise OrderRefusedError(
            f"the rollout is {_said(state.phase)} already; finish it and start another"
        )
    return _moved(plan, state, _promotion(plan, state.phase), Reason.ORDERED, now=now)


def _noting_absence(state: State, readiness: Readiness, now: float) -> State:
    if readiness.canary.serving:
        return replace(state, missing_since=None)
    return state if state.missing_since is not None else replace(state, missing_since=now)


def _prepare(
    plan: RolloutPlan, state: State, evidence: Evidence, readiness: Readiness, now: float
) -> tuple[State, tuple[Move, ...]]:
    numbers = measure(plan, evidence)
    if state.missing_since is not None and now - state.missing_since >= plan.prepare_seconds:
        return _moved(
            plan, state, Phase.ROLLED_BACK, Reason.CANARY_MISSING, now=now, numbers=numbers
        )
    if has_dropped(plan, evidence, rounds=CONFIRMING_ROUNDS):
        return _moved(plan, state, Phase.ROLLED_BACK, Reason.QUALITY, now=now, numbers=numbers)
    doubt = _unready(plan, state, evidence, readiness)
    if doubt is not None:
        return replace(state, reason=doubt), ()
    is_switch = plan.strategy is Strategy.BLUE_GREEN
    phase = Phase.SWITCHED if is_switch else Phase.SHIFTING
    return _moved(plan, state, phase, Reason.HEALTHY, now=now, numbers=numbers)


def _unready(
    plan: RolloutPlan, state: State, evidence: Evidence, readiness: Readiness
) -> Reason | None:
    """Find what must come before any client's request goes to the canary."""
    takes_all = plan.weights[0] >= 1  # and leaves stable nothing to be held against
    doubts = (
        (not readiness.canary.serving, Reason.CANARY_MISSING),
        (takes_all and readiness.canary.slots < readiness.stable.slots, Reason.NO_ROOM),
        (takes_all and lacks_baseline(plan, evidence), Reason.NO_BASELINE),
        (lacks_probes(plan, evidence), Reason.NO_PROBES),
        (has_dropped(plan, evidence, rounds=1), Reason.UNCLEAR_QUALITY),
        (state.is_paused, Reason.PAUSED),
    )
    return next((reason for is_so, reason in doubts if is_so), None)


def _go_on(
    plan: RolloutPlan, state: State, evidence: Evidence, now: float
) -> tuple[State, tuple[Move, ...]]:
    missing = None if state.missing_since is None else now - state.missing_since
    is_last = state.step + 1 >= len(plan.weights)
    verdict = judge(plan, evidence, elapsed=now - state.since, missing=missing, is_last=is_last)
    match verdict.action:
        case Action.ROLL_BACK:
            return _moved(
                plan, state, Phase.ROLLED_BACK, verdict.reason, now=now, numbers=verdict.numbers
            )
        case Action.HOLD:
            return replace(state, reason=verdict.reason), ()
    if state.is_paused:
        return replace(state, reason=Reason.PAUSED), ()
    phase = _promotion(plan, state.phase) if verdict.action is Action.PROMOTE else state.phase
    return _moved(plan, state, phase, verdict.reason, now=now, numbers=verdict.numbers)


def _drain(
    plan: RolloutPlan, state: State, evidence: Evidence, readiness: Readiness, now: float
) -> tuple[State, tuple[Move, ...]]:
    missing = None if state.missing_since is None else now - state.missing_since
    verdict = judge(plan, evidence, elapsed=now - state.since, missing=missing)
    if verdict.action is Action.ROLL_BACK:
        return _moved(
            plan, state, Phase.ROLLED_BACK, verdict.reason, now=now, numbers=verdict.numbers
        )
    if state.is_paused:
        return replace(state, reason=Reason.PAUSED), ()
    in_flight = readiness.stable.slots - readiness.stable.free
    if not readiness.old_sessions and in_flight <= 0:
        return _moved(
            plan, state, Phase.PROMOTED, Reason.DRAINED, now=now, numbers=verdict.numbers
        )
    if now - state.since >= plan.drain_seconds:
        return _moved(
            plan, state, Phase.PROMOTED, Reason.DRAIN_TIMEOUT, now=now, numbers=verdict.numbers
        )
    return replace(state, reason=Reason.OLD_SESSIONS), ()


def _promotion(plan: RolloutPlan, phase: Phase) -> Phase:
    """Return where a canary goes that has proved itself: blue/green lets old sessions end."""
    if plan.strategy is Strategy.BLUE_GREEN and phase is not Phase.DRAINING:
        return Phase.DRAINING
    return Phase.PROMOTED


def _moved(
    plan: RolloutPlan,
    state: State,
    phase: Phase,
    reason: Reason,
    *,
    now: float,
    numbers: Numbers | None = None,
) -> tuple[State, tuple[Move, ...]]:
    """Enter a phase, or the next step of the one that is under way."""
    number = state.step + 1 if phase is state.phase is Phase.SHIFTING else state.step
    moved = State(
        since=now,
        phase=phase,
        step=number,
        reason=reason,
        missing_since=state.missing_since,
        is_paused=state.is_paused and not phase.is_final,
    )
    return moved, (Move(now, phase, number, moved.weight(plan), reason, numbers),)


def _said(phase: Phase) -> str:
    return phase.value.replace("_", " ")
