"""The planner: from observation, forecast and capacity to a plan; pure, and run by all alike."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from autoscaler.capacity import Capacity
from autoscaler.lead_time import Lead
from autoscaler.observation import Observation
from autoscaler.plan import DOUBT, Mode, Plan, PlanState, Policy, Reason, Wanted
from forecaster.forecast import Forecast

_MOST = 1_000_000  # replicas: keeps an absurd demand countable


def plan(
    observation: Observation,
    forecast: Forecast | None,
    capacity: Capacity | None,
    *,
    policy: Policy,
    lead: Lead,
    state: PlanState,
    now: float,
) -> tuple[Plan, PlanState]:
    """Choose how many replicas serve and how many stand by.

    Each stage can change what the stages before it want; the last that did is the reason.
    """
    sizes = _measure(observation, forecast, capacity, policy=policy, lead=lead, now=now)
    ahead = _look_ahead(sizes, policy, now)
    guarded = _guard(ahead, sizes, policy)
    safe = _keep_where_blind(guarded, observation, sizes, state)
    safe = _keep_where_doubted(safe, observation, sizes, state)
    held, memory = _hold(safe, observation, policy, state)
    bounded = _bound(held, policy)
    numbers = _numbers(sizes, ahead=ahead, safe=safe, held=held, policy=policy, lead=lead)
    return _plan(bounded, observation.model, numbers), memory


@dataclass(frozen=True, slots=True)
class _Sizes:
    """What replicas are counted by; None where it is not known."""

    demand: float | None  # requests/s now
    backlog: int  # requests waiting now
    soon: float | None  # highest forecast demand until a woken replica serves
    later: float | None  # and until a started one is ready
    capacity: float | None  # requests/s that one replica sustains
    per_replica: float | None  # requests/s that one replica is planned with
    urgent: float  # requests/s that present demand and backlog ask for
    doubts: tuple[str, ...]  # of the forecast that is gone by

    def replicas(self, rate: float) -> int:
        """Return how many replicas `rate` takes: one for some demand of unknown cost."""
        if rate <= 0 or self.per_replica is None:
            return int(rate > 0)
        return math.ceil(min(rate / self.per_replica, _MOST) - 1e-9)


def _measure(
    observation: Observation,
    forecast: Forecast | None,
    capacity: Capacity | None,
    *,
    policy: Policy,
    lead: Lead,
    now: float,
) -> _Sizes:
    sustained = _sustained(capacity, observation)
    soon = now + lead.wake + policy.tick_seconds
    later = now + max(lead.start, lead.wake) + policy.tick_seconds
    highest = _peak(forecast, policy, now=now, until=soon)
    return _Sizes(
        demand=observation.demand,
        backlog=observation.backlog,
        soon=highest,
        later=_peak(forecast, policy, now=now, until=later),
        capacity=sustained,
        per_replica=None if sustained is None else sustained * policy.utilisation,
        urgent=(observation.demand or 0.0) + observation.backlog / policy.backlog_seconds,
        doubts=() if forecast is None or highest is None else forecast.doubts,
    )


def _sustained(capacity: Capacity | None, observation: Observation) -> float | None:
    """Return a replica's requests per second, where both its speed and their size are known."""
    if capacity is None or observation.input_tokens is None or observation.output_tokens is None:
        return None
    rate = capacity.requests_per_second(
        input_tokens=observation.input_tokens, output_tokens=observation.output_tokens
    )
    return rate if rate > 0 else None


def _peak(forecast: Forecast | None, policy: Policy, *, now: float, until: float) -> float | None:
    """Return the highest demand forecast until then; a forecast that has run out says nothing."""
    if policy.mode is Mode.REACTIVE or forecast is None or forecast.steps == 0:
        return None
    if forecast.times[-1] <= now:
        return None
    peak = forecast.peak(policy.quantile, until=until)
    return max(peak, 0.0) if math.isfinite(peak) else None


def _look_ahead(sizes: _Sizes, policy: Policy, now: float) -> Wanted:
    """Want what the forecast asks for: awake in time to serve, started in time to be ready."""
    if policy.mode is Mode.REACTIVE:
        return Wanted(now, 0, 0, Reason.DEMAND_NOW)
    if sizes.soon is None or sizes.later is None:
        return Wanted(now, 0, 0, Reason.NO_FORECAST)
    serving = sizes.replicas(sizes.soon)
    return Wanted(now, serving, max(serving, sizes.replicas(sizes.later)), Reason.DEMAND_FORECAST)


def _guard(ahead: Wanted, sizes: _Sizes, policy: Policy) -> Wanted:
    """Add, never take away: for present demand, for the floor, and the policy's spares."""
    because = Reason.DEMAND_NOW
    if ahead.reason is Reason.NO_FORECAST:
        because = Reason.NO_FORECAST
    guard = sizes.replicas(sizes.urgent)
    wanted = ahead.raised(guard, guard, because)
    wanted = wanted.raised(policy.minimum, policy.minimum, Reason.FLOOR)
    return replace(wanted, ready=wanted.ready + policy.standby)


def _keep_where_blind(
    wanted: Wanted, observation: Observation, sizes: _Sizes, state: PlanState
) -> Wanted:
    """Let nothing go down while demand, or what a replica takes of it, is unknown."""
    fleet = observation.fleet
    if sizes.demand is None:
        serving, ready = _present(observation, state)
        return replace(wanted.raised(serving, ready, Reason.NO_DATA), reason=Reason.NO_DATA)
    if sizes.per_replica is None and (sizes.urgent > 0 or (sizes.later or 0) > 0):
        return replace(wanted.raised(fleet.serving, fleet.up, Reason.COLD), reason=Reason.COLD)
    return wanted


def _keep_where_doubted(
    wanted: Wanted, observation: Observation, sizes: _Sizes, state: PlanState
) -> Wanted:
    """Let nothing go down on the word of a forecast that has doubts; up it may."""
    if not sizes.doubts:
        return wanted
    return wanted.raised(*_present(observation, state), Reason.DOUBT)


def _present(observation: Observation, state: PlanState) -> tuple[int, int]:
    """Return what serves and what is ready, or was wanted within the hold if that is more."""
    fleet = observation.fleet
    known = [(one.serving, one.ready) for one in state.wanted] + [(fleet.serving, fleet.up)]
    serving, ready = (max(column) for column in zip(*known, strict=True))
    return serving, ready


def _hold(
    wanted: Wanted, observation: Observation, policy: Policy, state: PlanState
) -> tuple[Wanted, PlanState]:
    """Want what was wanted at most within the hold; a new planner holds the fleet it finds."""
    fleet = observation.fleet
    found = Wanted(wanted.at, fleet.serving, fleet.up, Reason.HELD)
    recent = tuple(
        one for one in state.wanted or (found,) if 0 <= wanted.at - one.at < policy.hold_seconds
    )
    serving = max((one.serving for one in recent), default=0)
    ready = max((one.ready for one in recent), default=0)
    return wanted.raised(serving, ready, Reason.HELD), PlanState((*recent, wanted))


def _bound(wanted: Wanted, policy: Policy) -> Wanted:
    """Stay within the ceiling; what stands by gives way first."""
    ready = min(wanted.ready, policy.maximum)
    serving = min(wanted.serving, ready)
    if (serving, ready) == (wanted.serving, wanted.ready):
        return wanted
    return Wanted(wanted.at, serving, ready, Reason.CEILING)


def _numbers(
    sizes: _Sizes, *, ahead: Wanted, safe: Wanted, held: Wanted, policy: Policy, lead: Lead
) -> dict[str, float]:
    """Gather what led to the plan, leaving out what is not known."""
    known = {
        "demand": sizes.demand,
        "backlog": sizes.backlog,
        "forecast_soon": sizes.soon,
        "forecast_later": sizes.later,
        "capacity": sizes.capacity,
        "per_replica": sizes.per_replica,
        "forecast_serving": None if sizes.soon is None else ahead.serving,
        "forecast_ready": None if sizes.later is None else ahead.ready,
        "guard": sizes.replicas(sizes.urgent),
        "wanted_serving": safe.serving,
        "wanted_ready": safe.ready,
        "held_serving": held.serving,
        "held_ready": held.ready,
        "lead_start": lead.start,
        "lead_wake": lead.wake,
    }
    limits = {
        name: getattr(policy, name)
        for name in ("minimum", "maximum", "standby", "quantile", "utilisation", "hold_seconds")
    }
    doubts = {f"{DOUBT}{doubt}": 1.0 for doubt in sizes.doubts}
    told = {**known, **limits, **doubts}
    return {name: float(value) for name, value in told.items() if value is not None}


def _plan(wanted: Wanted, model: str, numbers: Mapping[str, float]) -> Plan:
    standby = wanted.ready - wanted.serving
    return Plan(wanted.at, model, wanted.serving, standby, wanted.reason, numbers)
