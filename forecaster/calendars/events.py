"""Events: how much they changed demand before, and what they make of the steps that they cover."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from forecaster.calendars.calendar import Calendar, Event, Floats, Mask
from forecaster.calendars.day_kinds import DAY
from forecaster.condition.usual import at_time_of_day
from forecaster.demand.demand import Demand

_BOUNDS = (0.05, 20.0)  # of what is believed of a learned factor


def learned_factors(demand: Demand, calendar: Calendar) -> Mapping[str, float]:
    """Return what each event that came before made of demand: a multiple of what is usual.

    The median over the events of one name, each its total over the usual of those times of day.
    """
    during = [event.during(demand.window.times, demand.step) for event in calendar.events]
    seen = demand.telling
    ordinary = np.where(np.any([np.zeros(demand.size, np.bool_), *during], axis=0), np.nan, seen)
    season = max(1, round(DAY / demand.step))
    usual = at_time_of_day(ordinary, season, reach=max(1, season // 96))
    ratios: dict[str, list[float]] = defaultdict(list)
    for event, mask in zip(calendar.events, during, strict=True):
        known = mask & np.isfinite(seen) & (usual > 0)
        if known.any():
            ratios[event.name].append(float(seen[known].sum() / usual[known].sum()))
    return {name: float(np.clip(np.median(found), *_BOUNDS)) for name, found in ratios.items()}


def factor_of(event: Event, learned: Mapping[str, float]) -> float | None:
    """Return the factor that is given for an event, or else the learned one; None without any."""
    return learned.get(event.name) if event.factor is None else event.factor


def event_factors(
    ends: Floats, step: float, calendar: Calendar, learned: Mapping[str, float]
) -> tuple[Floats, Mask]:
    """Return what events make of each step, and which steps lie in one of no known factor."""
    factors = np.ones(ends.size)
    unknown = np.zeros(ends.size, np.bool_)
    for event in calendar.events:
        mask = event.during(ends, step)
        factor = factor_of(event, learned)
        if factor is None:
            unknown |= mask
        else:
            factors[mask] *= factor
    return factors, unknown
