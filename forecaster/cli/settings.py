"""From what was asked and the demand that was found to the settings of a forecast."""

import math

from forecaster.cli.asked import Asked
from forecaster.demand.demand import Demand, DemandError
from forecaster.forecast import QUANTILES
from forecaster.moments import spoken
from forecaster.pipeline import ForecastSettings

DAY = 86_400.0
WEEK = 7 * DAY
HOUR = 3600.0
_LEAST_HORIZON = 6  # steps
_MOST_HORIZON = 50_000  # steps: a month of minutes, and about a gigabyte
_PATHS = 200  # that the highest of a window is read from, however few are asked for
_ROUNDING = 1e-9


def settings_of(asked: Asked, demand: Demand) -> ForecastSettings:
    """Return the settings; raise DemandError where season or horizon cannot be had."""
    season = _season(asked, demand.step)
    return ForecastSettings(
        step_seconds=demand.step,
        season_steps=round(season / demand.step),
        horizon_steps=_horizon_steps(asked, demand.step),
        quantiles=tuple(sorted({*QUANTILES, *(asked.quantiles or ())})),
        history_seasons=max(1, math.ceil(asked.history / season - _ROUNDING)),
        paths=max(asked.paths, _PATHS),
    )


def _season(asked: Asked, step: float) -> float:
    """Return the seconds that repeat: a day, or a week where one step is a day."""
    season = asked.season or (WEEK if step >= DAY else DAY)
    steps = season / step
    if steps < 1 or abs(steps - round(steps)) > _ROUNDING * steps:
        raise DemandError(
            f"expected a season that is a whole number of steps, got a season of {spoken(season)} "
            f"and a step of {spoken(step)}: choose another --step or --season"
        )
    return season


def _horizon_steps(asked: Asked, step: float) -> int:
    """Return how far ahead, at least as far as the window that is asked for."""
    if asked.horizon is None:
        steps = max(_LEAST_HORIZON, math.ceil(HOUR / step - _ROUNDING))
    else:
        steps = asked.horizon.steps_of(step)
    until = (asked.lead or 0.0) + (asked.window or 0.0)
    steps = max(steps, math.ceil(until / step - _ROUNDING))
    if steps > _MOST_HORIZON:
        raise DemandError(
            f"expected to look at most {_MOST_HORIZON:,} steps ahead, got {steps:,} of "
            f"{spoken(step)}: choose a longer --step, or look less far"
        )
    return steps
