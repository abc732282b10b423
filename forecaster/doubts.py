"""Doubts: when a forecast does not justify scaling down, for too little is known."""

from collections.abc import Mapping

import numpy as np

from forecaster.forecast import Doubt
from forecaster.history import Floats

REASONS: Mapping[Doubt, str] = {
    Doubt.GAPS: "too much of the recent demand is unknown",
    Doubt.LATE: "the newest demand is not known yet",
    Doubt.SHORT: "there are too few past errors to know the tails",
    Doubt.UNCALIBRATED: "demand has left its quantiles more often than they say",
}
_LATE_MINUTES = 30.0
_RECENT_MINUTES = 60.0
_LEAST_OF_RECENT = 0.5  # share of the last hour that must be known
_LEAST_OF_DAY = 0.7
_LEAST_ERRORS = 30  # matured errors: fewer tell nothing of the tails


def doubts_about(rates: Floats, *, season: int, late: int, errors: int) -> tuple[Doubt, ...]:
    """Return what is doubtful about a forecast from `rates`, NaN where they are not known.

    `late` is how many steps before the origin demand was last known, `errors` how many past
    forecasts matured at the furthest horizon.
    """
    found = []
    if _known(rates, season, _RECENT_MINUTES) < _LEAST_OF_RECENT or _known_of_day(rates, season):
        found.append(Doubt.GAPS)
    if late >= max(2, _steps(season, _LATE_MINUTES)):
        found.append(Doubt.LATE)
    if errors < _LEAST_ERRORS:
        found.append(Doubt.SHORT)
    return tuple(found)


def _known(rates: Floats, season: int, minutes: float) -> float:
    recent = rates[-_steps(season, minutes) :]
    return float(np.isfinite(recent).mean())


def _known_of_day(rates: Floats, season: int) -> bool:
    """Tell whether too little of the last day is known, since demand was first seen."""
    return float(np.isfinite(rates[-season:]).mean()) < _LEAST_OF_DAY


def _steps(season: int, minutes: float) -> int:
    return max(1, round(season * minutes / 1440.0))
